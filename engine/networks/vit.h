// Vision transformers (Dosovitskiy et al., 2021) in timm's names and order: "cls_token", "pos_embed",
// "patch_embed.proj.weight", "blocks.0.norm1.weight", "blocks.0.attn.qkv.weight", ..., "norm.weight", "head.weight".
#pragma once
#include "network.h"

namespace theta {

// The shape's widths: of tokens, of the hidden layers of blocks, and the classes. The activation is the hidden layers'.
struct VitSettings {
  int side = 0, channels = 1; // of the images
  int patch = 4, blocks = 6, heads = 3;
};

} // namespace theta
