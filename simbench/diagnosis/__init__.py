"""What a log says about the reward fitted on it, without any truth: can it be believed?"""
