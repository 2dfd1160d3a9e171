"""A word-level tokenizer for short English and numbers: digits one by one, a blank line as one token, lossless.

A space belongs to the word or digit after it. A word outside the vocabulary falls apart into its letters, so any plain
English text is read; other characters become `<unk>`.
"""

import string
from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

IMAGE, AROUND_IMAGE, GLOBAL_IMAGE = "<image>", "<fake_token_around_image>", "<global-img>"
SPECIAL = ("<pad>", "<s>", "<end_of_utterance>", "<unk>", IMAGE, AROUND_IMAGE, GLOBAL_IMAGE, "<good>", "<bad>")
WORDS = tuple(
    """
a an and angle angles answer apples appears are at be books bottom bar bars blue Ann best By by cards chart
circle coins column colour comes decimal difference each figure first for frequent from gets Give gives green
grey half has Half have how How image in is it It left like List long looks Look many mean means more most
much mark middle new no not now number numbers of on one or order other our out perimeter picture question
Read Rest reading rectangle red Reference right row second shape shapes show shows side sides so square Step Sum
sum Table table than that the The then third three There there this to top total triangle turn Twice two Twice
up use value values was we What what which Which with yellow User Assistant Answer away
""".split()  # noqa: SIM905
)

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}:"
    "{% if message['content'] is string %} {{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)


def make_tokenizer(words: Sequence[str] = WORDS) -> Any:
    """The tokenizer as transformers loads it, with these words as tokens."""
    pieces = [*SPECIAL, "\n\n", "\n", " "]
    marks = string.digits + string.punctuation
    pieces += [form for mark in marks for form in (mark, f" {mark}")] + ["##", " ##"]
    pieces += [form for word in sorted(set(words)) for form in (word, f" {word}")]
    pieces += [form for letter in string.ascii_letters for form in (letter, f" {letter}")]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    known = "|".join(sorted(set(words), key=lambda word: (-len(word), word)))
    # A digit is a token: numbers of any length are read, and sums are learnt digit by digit.
    pattern = rf"\n\n|\n| ?##| ?(?:{known})(?![A-Za-z])| ?[A-Za-z]| ?[0-9]| ?[!-/:-@\[-`{{-~]| |."
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    # Pieces hold their own spaces, so decoding is joining, and encode then decode gives the same text.
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="<end_of_utterance>",
        unk_token="<unk>",
        additional_special_tokens=list(SPECIAL[4:]),
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
