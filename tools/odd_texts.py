"""Texts that a tokenizer may stumble over, and a small vocabulary; golden.py writes fixtures of both.

Everything outside ASCII is escaped, so that what a text holds can be read here.
"""

WORDS = """a about after all also an and any are as at back be because but by can come could day do even first for from get give go good
have he her him his how i if in into is it its just know like look make me most my new no not now of on one only or other our out over people
say see she so some take than that the their them then there these they think this time to two up us use want was way we well what when
which who will with work would year you your film movie story actor plot scene great bad boring funny lovely awful brilliant dull
moving clever empty love hate apple never ever really very too much director performance""".split()

PIECES = "s ed ing ly er est ness less ful tion ment able un re y es al ic ive".split()
PUNCTUATION = "! \" # $ % & ' ( ) * + , - . / : ; < = > ? @ [ \\ ] ^ _ ` { | } ~".split()
ACCENTED = list("\u00e9\u00e8\u00e0\u00e7\u00f1\u00fc\u00f6\u00df\u00c9\u00dc\u0130\u0131\u00f8\u0142")
OTHER = list("\u4e2d\u6587\u7535\u5f71\u65e5\u672c\u8a9e\u3042\u30a2\uac00\u0435\u0438\u043d\u05d0\u05d1\u0627\u0628\u0905\u2019\u2014\u2026\u20ac\u00a3")


def vocabulary(cased):
    """A few hundred wordpieces. [UNK], [CLS] and [SEP] are not where bert-base-uncased has them."""
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789") + (list("ABCDEFGHIJKLMNOPQRSTUVWXYZ") if cased else [])
    words = [w for w in WORDS if len(w) > 1] + ([w.capitalize() for w in WORDS[:40] if len(w) > 1] if cased else [])
    pieces = ["##" + p for p in letters + PIECES + ACCENTED + OTHER[:13]]
    found = ["[PAD]", "[unused0]", "[MASK]", "[UNK]", "[CLS]", "[SEP]", *PUNCTUATION, *letters, *ACCENTED, *OTHER, *words, *pieces]
    return list(dict.fromkeys(found))


# These get token ids from the bundled tokenizer and logits from every random checkpoint ...
ODD_TEXTS = [
    "", "[EMPTY]", " ", "\t\r\n", "I love apple", "I hate apple",
    "A dull, boring movie: not one scene works!", "Lovely film; the actors are BRILLIANT and the plot is clever.",
    "Caf\u00e9 cr\u00e8me \u00e0 la fran\u00e7aise, \u00fcber \u00d6l",  # composed accents
    "Cafe\u0301 cre\u0300me u\u0308ber n\u0303",  # combining marks
    "\u4e2d\u6587\u7535\u5f71\u5f88\u597d\u770b\u3002 \u65e5\u672c\u8a9e\u306e\u6620\u753b",  # CJK, with and without its own words
    "\uc548\ub155\ud558\uc138\uc694 \uac00\uac01",  # Hangul, which decomposes
    "great \U0001f600 movie \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7 \U0001f44d\U0001f3fd",  # emoji: joined, flag, skin
    "\u05e1\u05e8\u05d8 \u05d8\u05d5\u05d1 \u0627\u0644\u0641\u064a\u0644\u0645 \u062c\u064a\u062f \u202eRTL\u202c",  # right to left, with its marks
    "nul\x00byte", "\x01\x02\x1b[31mred\x1b[0m\x7f\x85", "zero\u200bwidth \u200b", "soft\u00adhyphen", "\ufeffbom and \ufffd replacement",
    "no\u00a0break \u3000ideographic \u2028line \u2029paragraph", "\u200b", "\x1c\x1d\x1e\x1f", "\u00a0\u3000",
    "a" * 100, "b" * 101, "love" * 24 + "hate", "x" * 3000,  # 100 characters is the longest word that gets pieces
    "\u00e9" * 100, "e\u0301" * 51,  # accents count before or after they are stripped
    "?!...", "...---...", "!" * 40, "don't can't I'm we'll", "\u2018single\u2019 \u201cdouble\u201d \u2014 dash \u2026",
    "Stra\u00dfe STRASSE \u1e9e", "\u0130stanbul \u0131l\u0131k I\u0307", "\u03a3\u0391\u03a3 \u03c3\u03b1\u03c2",  # letters whose case is not plain
    "[CLS] love [SEP]", "[MASK] [PAD] [UNK]", "[cls][CLS]love[SEP]##ing",  # special tokens, spelt out
]

# ... and these get token ids alone.
MORE_ODD_TEXTS = [
    "[mask] [Mask] [ MASK ]", "un##believ##able", "##s", "[unused0] [unused1]", "https://example.org/a?b=c&d=%20e#f", "<br /><b>bold</b> &amp; &#39;",
    "user.name+tag@example.co.uk", "$1,234.56 \u20ac99,99 \u00a35 50%", "3.14159 1e-10 0xFF 1/2 \u00bd \u00b2 \u2160 \u2460", "U.S.A. e.g. i.e. Ph.D.",
    "snake_case camelCase kebab-case", "C++ C# .NET F\u266f", "a\\b\\\\c", "tab\tnew\nline\r\nend", "  leading and   inner  and trailing  ",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 \u0439 \u0451", "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac \u03ac\u03ad", "\u0939\u093f\u0928\u094d\u0926\u0940 \u092b\u093c\u093f\u0932\u094d\u092e",
    "\u0e44\u0e17\u0e22 \u0e20\u0e32\u0e1e\u0e22\u0e19\u0e15\u0e23\u0e4c", "\u1ebf\u1ec7\u1eeb ti\u1ebfng Vi\u1ec7t", "\ufb01ne \ufb02ow \ufb03", "\uff26\uff55\uff4c\uff4c \uff57\uff49\uff44\uff54\uff48\uff01",
    "\u1d5a\u1d2c \U0001d400\U0001d41b\U0001d4d2", "\U00020000\U0002a6df\U0002f800", "\u3042\u3044\u3046 \u30a2\u30a4 \u30ac \u30ab\u3099", "\u3400\u4dbf\u9fff\uf900",
    "\ue000 \uf8ff private", "\ufffe \uffff \U0001fffe \U0010ffff", "\u0378 \u0380 unassigned", "\U0001f3f4\U000e0067\U000e0062\U000e007f tags",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034fa\u0317\u0330\u031d\u0349l\u0320\u032bg\u0355\u0322o", "\u0301", "\u0301\u0302\u0303", "a\u200db\u200cc\u2060d\u2062e", "\u202a\u202b\u202d\u2066\u2069",
    "\u01c4 \u01c5 \u01c6 \u0149 \u01f0", "\u00c5 \u212b A\u030a \u212a \u2126", "\u00b5 \u03bc \u00df \u017f", "\u0660\u0661\u0662 \u0967\u0968 \uff11\uff12", "\u00ab guillemets \u00bb \u201e low \u201c", "\u00bfQu\u00e9? \u00a1No!",
    "\u2212\u00d7\u00f7\u2260\u221e\u2211", "\u00a9 \u00ae \u2122 \u00b0 \u00a7", "\u2190\u2192 \u2588\u2591 \u2660\u2665", "\u2764\ufe0f \u2764 \u263a\ufe0e", ":-) ;) :D <3 ^_^ \u00af\\_(\u30c4)_/\u00af",
    "a,b;c:d.e!f?g", "(((nested [brackets] {here})))", "\"quoted \\\"inside\\\"\"", "`code` ``like this''", "--flag=value -x", "~/path/to/file.txt", "key=value;key2=value2", "@user #hashtag", "100%", "'",
    "ALL CAPS REVIEW", "MiXeD cAsE", "repeat " * 125, "repeat " * 126, "repeat " * 127, "word " * 600, ". " * 126, "\U0001f600" * 130, "\u4e2d" * 126, "\u4e2d" * 127,
    "supercalifragilisticexpialidocious", "pneumonoultramicroscopicsilicovolcanoconiosis", "qwertyuiopasdfghjklzxcvbnm" * 5, "1" * 99, "1" * 120, "-" * 200,
    "\x00", "\x00\x00 \x00", "\u180e mongolian", "\u1680 ogham", "\u2000\u2003\u2009\u200a\u202f\u205f spaces", "\x0b\x0c", "\u0085", "\u061c\u115f\u3164 fillers", "\ufff9\ufffa\ufffb", "\u2fff\u2ff0",
]
