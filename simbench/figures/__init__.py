"""One script a figure: a results table in, a figure out; nothing is drawn on global state.

Inside the package, not beside it: the installed command must find them, and a top-level import
package named ``figures`` would claim a name that others use.
"""

FIGURES = {"bias-variance": "bias_variance"}
