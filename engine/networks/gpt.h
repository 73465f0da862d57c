// Language models of characters (Radford et al., 2019, in small): causal attention, places that are learned, or rotary, one matrix for
// both ends or two: "wte.weight", "wpe.weight", "blocks.0.norm1.weight", "blocks.0.attn.qkv.weight", ..., "norm.weight",
// "head.weight". Their inputs are the numbers of `context` characters, their outputs scores of the one behind each.
#pragma once
#include "network.h"

namespace theta {

// The shape's widths: of tokens, of the hidden layers of blocks, and the characters that there are. The activation is the
// hidden layers'.
struct GptSettings {
  int context = 64, blocks = 2, heads = 4;
  bool tied = true;    // one matrix for both ends
  bool rotary = false; // places turn queries and keys, in place of what they add to tokens
};

bool is_text(const NetworkShape &);    // whether they learn text; then:
int context_of(const NetworkShape &);  // characters that they look at
int alphabet_of(const NetworkShape &); // characters that there are

} // namespace theta
