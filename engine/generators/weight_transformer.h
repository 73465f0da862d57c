// A diffusion transformer over weight tokens (DiT blocks: Peebles & Xie, 2023): from a noisy network and the time of
// its noise to the velocity of flow matching, token by token.
//   h = encoder(tokens) [+ places],  c = time.2(silu(time.0(features(t)))),  h = blocks(h, c),
//   out = decoder(norm(h)·(1 + scale) + shift),  (shift, scale) = final(silu(c))
// Encoders and decoders are one a token type. Tokens of an exchangeable type have no places: the model is then
// equivariant to their order. Decoders, and every conditioning, start at zero.
#pragma once
#include "engine/layers/dit_block.h"
#include "engine/weights/tokens.h"

namespace theta {

struct WeightTransformerShape {
  std::vector<TokenType> types;
  int width = 96, layers = 3, heads = 4;
  int features = 64; // of time
  Arithmetic arithmetic = Arithmetic::fp32;
};

template <class T> class WeightTransformer {
public:
  explicit WeightTransformer(const WeightTransformerShape &);

  const Layout &parameters() const { return parameters_; }
  const Layout &buffers() const { return buffers_; } // none
  std::size_t size() const { return size_; }         // S: elements of a tokenised network

  // Rehearses a training step, or inference, of `batch` networks.
  void plan(MemoryPlan &, int batch, Mode);
  void bind(const Arena &);

  // x [batch, S], tokens of the first type first; t [batch] -> velocity [batch, S].
  const T *forward(Stream &, const Parameters<T> &, const T *x, const T *t);
  // The gradient of `velocity`'s loss goes where d_out() says, before backward.
  T *d_out() const { return d_out_; }
  void backward(Stream &, const Parameters<T> &);

private:
  struct Tensor {
    Slot slot;
    T *at = nullptr;
    operator T *() const { return at; }
  };
  // What a type of tokens has of its own.
  struct Coder {
    TokenType type;
    std::size_t offset; // in S
    std::size_t token;  // its first
    Linear encode, decode;
    std::optional<std::size_t> places; // offset of [count, width] in the parameters
    Tensor x, h, y, d_x, d_h;          // [batch·count, width of the type or the model]
  };
  Tensor reserve(MemoryPlan &, const std::string &what, std::int64_t rows, std::int64_t width) const;
  int tokens() const;
  BiasAct silu(int width) const { return {1, batch_, width, 0, Activation::silu}; }

  WeightTransformerShape shape_;
  Layout parameters_, buffers_;
  std::size_t size_ = 0;
  std::vector<Coder> coders_;
  std::optional<Linear> time0_, time2_, final_;
  std::vector<DitBlock<T>> blocks_;
  std::vector<const T *> inputs_; // of the blocks, and of the final normalisation
  int batch_ = 0;
  Tensor features_, time_pre_, time_act_, condition_, silu_, h_, conditions_, mean_, rstd_, normal_, out_;
  Tensor d_out_, d_normal_, d_h_, d_conditions_, d_silu_, d_time_;
};

} // namespace theta
