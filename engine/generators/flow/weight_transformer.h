// A diffusion transformer over weight tokens: from a noisy network, the time of its noise, and the conditions on the
// network that is wanted, to what the objective asks for (kernels/operations/diffusion.h), token by token.
//   h = encoder(tokens) [+ places] [+ encoder(start's tokens)]
//   out = decoder(norm(h')·(1 + scale) + shift), h' = blocks(h)
// Time and conditions come in by one of two ways:
//   modulation  as shifts, scales and gates of every block (adaLN-Zero: Peebles & Xie, 2023):
//               c = time.2(silu(time.0(features(t)) + Σ conditions.k(features(number k)))), and of the last norm
//   tokens      as tokens in front of the network's (Peebles et al., "G.pt", 2022): one for t, one a condition, and the
//               starting network's
// Encoders and decoders are one a token type. Tokens of an exchangeable type have no places: the model is then
// equivariant to their order. Decoders, and every modulation, start at zero. A condition that is not given (NaN) is its
// bias alone.
// With Arithmetic::bf16 everything is multiplied in bf16, and the blocks' branches are stored so; what leads to them and
// from them is fp32 in memory.
#pragma once
#include "engine/layers/dit_block.h"
#include "engine/weights/tokens.h"
#include "kernels/operations/diffusion.h"
#include "model.h"
#include "tellers.h"
#include <variant>

namespace theta {

enum class PlaceKind { learned, sinusoidal }; // of tokens that are not exchangeable

struct WeightTransformerShape {
  std::vector<TokenType> types;
  int width = 96, layers = 3, heads = 4;
  int features = 64; // of time, and of a number
  Arithmetic arithmetic = Arithmetic::fp32;
  std::vector<ConditionShape> conditions{};
  bool start = false; // the network begins from another, which is a condition too
  ConditionWay way = ConditionWay::modulation;
  PlaceKind places = PlaceKind::learned;
  bool qk_norm = false;
  bool recompute = false; // of a block, backward keeps the input alone, and runs it again
  bool attends = true;    // else there is one token, and the model is a residual perceptron
  int context = 0;        // elements of a vector that each sample is conditioned on; by modulation
  bool fused = false;     // the weights of linear layers are early tensors (parameters.h)
};

template <class T> class WeightTransformer : public FlowModel<T> {
public:
  using typename FlowModel<T>::Told;
  explicit WeightTransformer(const WeightTransformerShape &);

  const Layout &parameters() const override { return parameters_; }
  const Layout &buffers() const override { return buffers_; } // none
  const EarlyTensors &early() const override { return early_; }
  std::size_t size() const { return size_; } // S: elements of a tokenised network
  // Whether Parameters::narrow_value is read.
  bool reads_narrow() const override { return shape_.arithmetic == Arithmetic::bf16 && std::is_same_v<T, float>; }

  // Rehearses a training step, or inference, of `batch` networks.
  void plan(MemoryPlan &, int batch, Mode);
  void plan_for(MemoryPlan &of, const std::vector<int> &networks, Mode mode) override {
    plan(of, networks.at(0), mode);
  }

  // x [batch, S], tokens of the first type first -> [batch, S].
  const T *forward(Stream &, const Parameters<T> &, const T *x, const Told &) override;
  // The gradient of the output's loss goes where d_out() says, before backward.
  T *d_out() const override { return d_out_; }
  void backward(Stream &, const Parameters<T> &) override;
  T *d_context() const { return tellers_->d_context(); } // written by backward

private:
  // With Arithmetic::bf16, floats hold bf16 blocks.
  using Blocks = std::conditional_t<std::is_same_v<T, float>,
                                    std::variant<std::vector<DitBlock<float>>, std::vector<DitBlock<bf16>>>,
                                    std::variant<std::vector<DitBlock<T>>>>;
  // A type of tokens on its way in.
  struct Encoder {
    TokenType type;
    std::size_t offset; // in S
    std::size_t token;  // its first, in the sequence
    Linear encode;
    std::optional<std::size_t> places; // offset of [count, width] in the parameters
    bool sinusoidal;
    Tensor<T> x, h, d_h, fixed_places; // [batch·count, width of the type or the model]
  };
  struct Decoder {
    Linear decode;
    Tensor<T> y, d_y; // [batch·count, width of the type]
  };
  Tensor<T> reserve(MemoryPlan &, const std::string &what, std::int64_t rows, std::int64_t width) const;
  Encoder encoder(const std::string &name, const TokenType &, std::size_t offset, std::size_t token, bool placed);
  Blocks &backward_blocks() { return shape_.recompute ? again_ : blocks_; }
  bool in_tokens() const { return tellers_->in_tokens(); }
  std::size_t sequence_row() const { return std::size_t(tokens_) * std::size_t(shape_.width); }
  Modulation modulation() const { return {batch_, tokens_, shape_.width, std::size_t(2) * shape_.width}; }
  void encode(Stream &, const Parameters<T> &, const Encoder &, const T *from);
  void encode_backward(Stream &, const Parameters<T> &, const Encoder &);

  WeightTransformerShape shape_;
  Layout parameters_{model_alignment}, buffers_;
  EarlyTensors early_;
  std::size_t size_ = 0;
  int tokens_ = 0; // of the sequence
  std::vector<Encoder> encoders_, starts_;
  std::vector<Decoder> decoders_;
  std::optional<Tellers<T>> tellers_; // of time and conditions
  std::optional<Linear> final_;
  std::size_t final_bias_ = 0;
  Blocks blocks_, again_;         // again_: the same, as backward runs them, where they are recomputed
  const T *context_ = nullptr;    // that forward was given
  std::vector<const T *> inputs_; // of the blocks, and of the final normalisation
  int batch_ = 0;
  Tensor<T> h_, conditions_, mean_, rstd_, normal_, out_;
  Tensor<T> d_out_, d_normal_, d_h_, d_conditions_, early_gradient_;
};

} // namespace theta
