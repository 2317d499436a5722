"""A chat template for models that have none, so that TRL writes texts as simbench reads them."""

from typing import Any

PROBE = "Why is it so?", "It is because it is."


def add_plain_template(tokenizer: Any) -> bool:
    """Give a tokenizer without a chat template one that joins turns by a blank line.

    TRL writes a conversation with the template and then tokenises it *without* special tokens, so the
    template contains them. It is only set if it gives the tokens that simbench trained on.

    Returns
    -------
    bool
        Whether the tokenizer has a template now, its own or this one.
    """
    if tokenizer.chat_template is not None:
        return True
    prompt, response = PROBE
    text = f"{prompt}\n\n{response}"
    own, bare = (tokenizer(text, add_special_tokens=flag).input_ids for flag in (True, False))
    place = next((i for i in range(len(own)) if own[i : i + len(bare)] == bare), None)
    if place is None:
        return False
    before, after = (
        "".join(tokenizer.convert_ids_to_tokens(ids)) for ids in (own[:place], own[place + len(bare) :])
    )
    turns = (
        "{% for message in messages %}{{ message['content'] }}{{ '' if loop.last else '\\n\\n' }}{% endfor %}"
    )
    tokenizer.chat_template = f"{before}{turns}{after}"
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    written = tokenizer.apply_chat_template(messages, tokenize=False)
    if tokenizer(written, add_special_tokens=False).input_ids != own:
        tokenizer.chat_template = None
    return tokenizer.chat_template is not None
