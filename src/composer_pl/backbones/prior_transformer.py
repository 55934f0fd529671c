"""The prior's network: a decoder-only transformer from text tokens to one image embedding.

Layout: Ramesh et al. 2022 (unCLIP), section 2.2: text, timestep, noised embedding and a final query
in one causal sequence; the output at the query is the prediction.
"""

from dataclasses import dataclass
from math import sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from composer_pl.backbones.blocks import timestep_embedding, zero_init
from composer_pl.errors import ConfigError

_OWN_TOKENS = 3  # timestep, noised embedding, query
_INIT_STD = 0.02


@dataclass(frozen=True)
class PriorConfig:
    """Size of the prior's transformer.

    Args:
        width: Width of its tokens. Paper: 1 billion parameters; 2048 with 20 layers are 1.02.
        layers: Blocks.
        head_dim: Width of an attention head; divides `width`.
        dropout: Probability of zeroing an output of a residual branch in training.
        words: Give it the words of the caption beside the sentence (unCLIP does; the lab's library
            gives the sentence alone).
    """

    width: int = 2048
    layers: int = 20
    head_dim: int = 64
    dropout: float = 0.0
    words: bool = True

    def __post_init__(self) -> None:
        """Refuse sizes that make no transformer."""
        if self.width < 2 or self.layers < 1 or self.head_dim < 1 or self.width % 2:
            problem = "an even width and at least one layer"
            found = f"width {self.width}, layers {self.layers}, head_dim {self.head_dim}"
        elif self.width % self.head_dim:
            problem = f"a head_dim that divides the width {self.width}"
            found = f"{self.head_dim}"
        elif not 0 <= self.dropout < 1:
            problem, found = "a dropout in [0, 1)", f"{self.dropout}"
        else:
            return
        raise ConfigError(
            f"Configuring the prior: expected {problem}, found {found}. "
            f"Next: correct model.backbone."
        )


@dataclass(frozen=True, kw_only=True)
class PriorShapes:
    """What the prior reads and predicts.

    Attributes:
        embedding_width: Width of the image embedding and of a sentence.
        text_tokens: Most text tokens, the sentence included.
        text_width: Width of word embeddings.
    """

    embedding_width: int
    text_tokens: int
    text_width: int


class PriorTransformer(nn.Module):
    """Text tokens, timestep and noised embedding -> prediction of the same width.

    Text tokens that are masked take no part in attention, so a dropped caption contributes nothing
    at all: training and guidance share this one way to say "absent". Differs from the papers:
    unCLIP does not say what stands for a dropped text, the lab's library encodes the empty one.

    Args:
        config: Size.
        sizes: What it reads and predicts.
    """

    def __init__(self, config: PriorConfig, sizes: PriorShapes):
        super().__init__()
        self.config = config
        self.sizes = sizes
        width = config.width
        self.words_in = nn.Linear(sizes.text_width, width) if config.words else None
        self.sentence_in = nn.Linear(sizes.embedding_width, width)
        self.time_in = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.embedding_in = nn.Linear(sizes.embedding_width, width)
        self.query = nn.Parameter(torch.empty(width))
        tokens = sizes.text_tokens if config.words else 1
        self.text_positions = nn.Parameter(torch.empty(tokens, width))
        self.own_positions = nn.Parameter(torch.empty(_OWN_TOKENS, width))
        self.blocks = nn.ModuleList(
            PriorBlock(width, config.head_dim, dropout=config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sizes.embedding_width)
        self._initialise()

    def _initialise(self) -> None:
        """Normal weights, smaller where they end a residual branch (GPT-2); the head at zero."""
        if self.query.is_meta:  # there, drawing would load a compiler first and draw nothing
            return
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1 and name != "query":
                if not name.endswith("weight"):
                    nn.init.zeros_(parameter)
            else:
                ends = name.endswith((".attention_out.weight", ".mlp_out.weight"))
                scale = sqrt(2 * self.config.layers) if ends else 1.0
                nn.init.normal_(parameter, std=_INIT_STD / scale)
        zero_init(self.head)

    def _stack(self) -> list["PriorBlock"]:
        return [block for block in self.blocks if isinstance(block, PriorBlock)]

    def text(
        self,
        sentence: Float[Tensor, "b d"],
        words: Float[Tensor, "b k text_width"],
        present: Bool[Tensor, " b"],
    ) -> tuple[Float[Tensor, "b tokens memory"], Bool[Tensor, "b tokens"]]:
        """Read captions: the words first, the sentence last.

        Nothing before a token depends on it, so captions are read once, whatever is noised.

        Args:
            sentence: Sentence embeddings.
            words: Word embeddings, as many as the longest caption has or more; rows of zeros are
                padding.
            present: False where the caption is dropped.

        Returns:
            Keys and values of all blocks for each token, side by side; and which tokens are there.
        """
        x = self.sentence_in(sentence)[:, None] + self.text_positions[0]
        there = present[:, None]
        if self.words_in is not None:
            positions = self.text_positions[1 : 1 + words.shape[1]]
            x = torch.cat([self.words_in(words) + positions, x], 1)
            there = torch.cat([(words != 0).any(2) & there, there], 1)
        allowed = causal(there)
        memories = []
        for block in self._stack():
            memories.append(block.memory(x))
            if len(memories) < len(self.blocks):  # nobody asks for the text's own last output
                x = block(x, memories[-1], allowed)
        return torch.cat(memories, 2), there

    def forward(
        self,
        x_t: Float[Tensor, "b d"],
        t: Int[Tensor, " b"] | Float[Tensor, " b"],
        text: Float[Tensor, "b tokens memory"] | None = None,
        there: Bool[Tensor, "b tokens"] | None = None,
    ) -> Float[Tensor, "b d"]:
        """Predict from noised embeddings.

        Args:
            x_t: Noised embeddings.
            t: Timesteps.
            text: What `text` answered; None where no sample has a caption.
            there: Which tokens are there; given together with `text`.
        """
        features = timestep_embedding(t, self.config.width).to(self.query.dtype)
        own = [self.time_in(features), self.embedding_in(x_t), self.query.expand(len(x_t), -1)]
        x = torch.stack(own, 1) + self.own_positions
        allowed = torch.ones(_OWN_TOKENS, _OWN_TOKENS, dtype=torch.bool, device=x.device).tril()
        allowed = allowed.expand(len(x), 1, -1, -1)
        memories = None
        if text is not None and there is not None:
            before = there[:, None, None].expand(-1, -1, _OWN_TOKENS, -1)
            allowed = torch.cat([before, allowed], 3)
            memories = text.to(x.dtype).split(2 * self.config.width, 2)
        for i, block in enumerate(self._stack()):
            memory = block.memory(x)
            if memories is not None:
                memory = torch.cat([memories[i], memory.to(x.dtype)], 1)
            x = block(x, memory, allowed)
        return self.head(self.norm(x[:, -1]))


class PriorBlock(nn.Module):
    """Pre-norm attention and perceptron, each a residual branch.

    Args:
        width: Width of tokens.
        head_dim: Width of a head.
        dropout: Of both branches.
    """

    def __init__(self, width: int, head_dim: int, *, dropout: float = 0.0):
        super().__init__()
        self.head_dim = head_dim
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, 4 * width)
        self.mlp_out = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def memory(self, x: Float[Tensor, "b n width"]) -> Float[Tensor, "b n memory"]:
        """What others see of tokens: keys, then values."""
        return self.key_value(self.attention_norm(x))

    def forward(
        self,
        x: Float[Tensor, "b n width"],
        memory: Float[Tensor, "b m memory"],
        allowed: Bool[Tensor, "b 1 n m"],
    ) -> Float[Tensor, "b n width"]:
        """Transform tokens.

        Args:
            x: Tokens.
            memory: Keys and values of all that they may look at, themselves included.
            allowed: True where a token (third axis) may look at another (last axis).
        """

        def heads(tokens: Tensor) -> Tensor:
            return tokens.unflatten(2, (-1, self.head_dim)).transpose(1, 2)

        query = heads(self.query(self.attention_norm(x)))
        key, value = (heads(part).to(query.dtype) for part in memory.chunk(2, 2))
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        x = x + self.dropout(self.attention_out(seen.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x)))))


def causal(there: Bool[Tensor, "b n"]) -> Bool[Tensor, "b 1 n n"]:
    """Which token may look at which: those there, at itself and what comes before.

    A token that is not there looks at itself too, so that no softmax is empty; nobody looks at it.
    """
    n = there.shape[1]
    before = torch.ones(n, n, dtype=torch.bool, device=there.device).tril()
    itself = torch.eye(n, dtype=torch.bool, device=there.device)
    return (before & there[:, None, :] | itself)[:, None]
