#include "conv_vae.h"
#include "kernels/operations/add.h"
#include <algorithm>

namespace theta {

template <class T> ConvVae<T>::ConvVae(const ConvVaeShape &shape) : shape_(shape) {
  const auto levels = shape.channels.size();
  if (levels == 0 || shape.length <= 0 || shape.length % (1 << levels) != 0)
    throw InputError("conv_vae: a length of ", shape.length, " cannot be halved ", levels, " times");
  std::vector<ConvBlock<T>> encoder, decoder;
  int channels = 1, length = shape.length;
  for (std::size_t i = 0; i < levels; ++i) {
    const std::string name = text("enc.", i);
    encoder.emplace_back(parameters_, buffers_, name + ".0", name + ".1",
                         ConvBlockShape{channels, shape.channels[i], length, shape.kernel, 2, false,
                                        Activation::leaky_relu, shape.arithmetic});
    channels = shape.channels[i], length /= 2;
  }
  constexpr std::size_t block_bytes = std::size_t(32) << 20;
  if (shape.stream && !std::is_same_v<T, float>)
    throw InputError("conv_vae: found weights in double that stream, expected float");
  width_ = channels * length;
  const auto wide = [&](auto &kept, auto &streamed, const char *name, int in, int out) {
    if (shape.stream)
      streamed.emplace(parameters_, name, in, out, shape.arithmetic, block_bytes);
    else
      kept.emplace(parameters_, name, in, out, shape.arithmetic);
  };
  wide(to_latent_, to_latent_streamed_, "to_latent", width_, shape.latent);
  mu_.emplace(parameters_, "mu", shape.latent, shape.latent, shape.arithmetic);
  wide(from_latent_, from_latent_streamed_, "from_latent", shape.latent, width_);
  for (std::size_t i = 0; i < levels; ++i) { // mirrored, the widest resolution keeping the first encoder width
    const std::string name = text("dec.", i);
    const int out = i + 1 < levels ? shape.channels[levels - 2 - i] : shape.channels[0];
    decoder.emplace_back(
        parameters_, buffers_, name + ".0", name + ".1",
        ConvBlockShape{channels, out, length, shape.kernel, 2, true, Activation::elu, shape.arithmetic});
    channels = out, length *= 2;
  }
  decoder.emplace_back(parameters_, buffers_, "last", "",
                       ConvBlockShape{.in_channels = channels,
                                      .out_channels = 1,
                                      .in_length = length,
                                      .kernel = shape.kernel,
                                      .arithmetic = shape.arithmetic});
  if (shape.tile > 0) {
    encoder_tiles_.emplace("vae.enc", std::move(encoder), shape.tile);
    decoder_tiles_.emplace("vae.dec", std::move(decoder), shape.tile);
  } else {
    encoder_.emplace("vae.enc", std::move(encoder), shape.keeping);
    decoder_.emplace("vae.dec", std::move(decoder), shape.keeping);
  }
  if (shape.keeping.compact && !shape.stream)
    early_ = {to_latent_->weight(), from_latent_->weight()};
}

template <class T> auto ConvVae<T>::reserve(MemoryPlan &plan, const char *name, std::int64_t width) const -> Tensor<T> {
  return plan.reserve<T>(text("vae.", name), MemoryClass::activations, {batch_, width}, "batch");
}

template <class T> void ConvVae<T>::plan_encoder(MemoryPlan &plan, Mode mode) {
  encoded_ = reserve(plan, "encoded", width_);
  if (encoder_)
    encoder_->plan_forward(plan, batch_, mode);
  hidden_ = reserve(plan, "hidden", shape_.latent);
  code_ = reserve(plan, "code", shape_.latent);
}

template <class T> void ConvVae<T>::plan_decoder(MemoryPlan &plan, Mode mode) {
  unpacked_ = reserve(plan, "unpacked", width_);
  out_ = reserve(plan, "out", shape_.length);
  if (decoder_)
    decoder_->plan_forward(plan, batch_, mode);
}

// As backward() goes: a gradient is reserved before the layer that writes it runs, and what the layer read is released
// after it.
template <class T> void ConvVae<T>::plan_backward(MemoryPlan &plan) {
  d_out_ = reserve(plan, "d_out", shape_.length);
  d_unpacked_ = reserve(plan, "d_unpacked", width_);
  if (decoder_)
    decoder_->plan_backward(plan);
  plan.release(d_out_, out_, unpacked_);
  if (const auto largest = std::int64_t(largest_of(early_)); largest > 0)
    early_gradient_ = plan.reserve<T>("vae.early_gradient", MemoryClass::workspace, {largest}, "fit.latent");
  d_noisy_code_ = reserve(plan, "d_noisy_code", shape_.latent);
  plan.release(d_unpacked_);
  d_hidden_ = reserve(plan, "d_hidden", shape_.latent);
  d_encoded_ = reserve(plan, "d_encoded", width_);
  plan.release(noisy_code_, d_noisy_code_, code_, hidden_, d_hidden_, encoded_, early_gradient_);
  if (encoder_)
    encoder_->plan_backward(plan);
  plan.release(d_encoded_);
}

template <class T>
void ConvVae<T>::stream_from(const std::function<StreamedLinear::Weights(std::size_t tensor)> &weights) {
  for (auto *layer : {&to_latent_streamed_, &from_latent_streamed_})
    if (*layer)
      (*layer)->work_on(weights((*layer)->tensor()));
}

template <class T> void ConvVae<T>::plan(MemoryPlan &plan, Backend backend, Use use, int batch) {
  check_unplanned("vae", batch_);
  batch_ = batch;
  const Mode mode = use == Use::train ? Mode::train : Mode::infer;
  if (use != Use::decode && to_latent_streamed_)
    to_latent_streamed_->plan(plan, backend, mode);
  if (use != Use::encode && from_latent_streamed_)
    from_latent_streamed_->plan(plan, backend, mode);
  if (encoder_tiles_) {
    if (use != Use::decode)
      encoder_tiles_->plan(plan, backend, batch, mode);
    if (use != Use::encode)
      decoder_tiles_->plan(plan, backend, batch, mode);
  } else {
    StackNeeds needs;
    if (use != Use::decode)
      needs.cover(encoder_->needs(backend, batch, mode));
    if (use != Use::encode)
      needs.cover(decoder_->needs(backend, batch, mode));
    const StackScratch<T> scratch(plan, "vae", needs);
    encoder_->work_in(scratch), decoder_->work_in(scratch);
  }
  if (use != Use::decode)
    plan_encoder(plan, mode);
  if (use == Use::train)
    noisy_code_ = reserve(plan, "noisy_code", shape_.latent);
  if (use != Use::encode)
    plan_decoder(plan, mode);
  if (use == Use::train)
    plan_backward(plan);
}

template <class T> void ConvVae<T>::run_encoder(Stream &s, const Parameters<T> &p, const T *v, Mode mode) {
  if (encoder_)
    encoder_->forward(s, p, encoded_, v, mode);
  else
    encoder_tiles_->forward(s, p, encoded_, v, mode);
  wide_forward(s, p, to_latent_, to_latent_streamed_, hidden_, encoded_);
  mu_->forward(s, p, code_.get(), hidden_, batch_);
}

template <class T> void ConvVae<T>::run_decoder(Stream &s, const Parameters<T> &p, const T *z, Mode mode) {
  wide_forward(s, p, from_latent_, from_latent_streamed_, unpacked_, z);
  if (decoder_)
    decoder_->forward(s, p, out_, unpacked_, mode);
  else
    decoder_tiles_->forward(s, p, out_, unpacked_, mode);
}

template <class T> const T *ConvVae<T>::forward(Stream &s, const Parameters<T> &p, const T *v, const T *latent_noise) {
  run_encoder(s, p, v, Mode::train);
  add_scaled<T>(s, noisy_code_, code_, latent_noise, 1, std::size_t(batch_) * shape_.latent);
  run_decoder(s, p, noisy_code_, Mode::train);
  return out_;
}

template <class T>
void ConvVae<T>::wide_forward(Stream &s, const Parameters<T> &p, const std::optional<Linear> &kept,
                              const std::optional<StreamedLinear> &streamed, T *y, const T *x) const {
  if (kept)
    return kept->forward(s, p, y, x, batch_);
  if constexpr (std::is_same_v<T, float>)
    streamed->forward(s, p, y, x, batch_);
}

template <class T>
void ConvVae<T>::wide_backward(Stream &s, const Parameters<T> &p, const std::optional<Linear> &kept,
                               const std::optional<StreamedLinear> &streamed, T *dx, const T *dy, const T *x,
                               const StreamedLinear::Step &move) const {
  if (kept)
    return kept->backward(s, p, dx, dy, x, batch_);
  if constexpr (std::is_same_v<T, float>)
    streamed->backward(s, p, dx, dy, x, batch_, move);
}

template <class T>
void ConvVae<T>::backward(Stream &s, const Parameters<T> &of, const T *v, const StreamedLinear::Step &move) {
  Parameters<T> p = of;
  p.early_gradient = early_gradient_;
  if (decoder_)
    decoder_->backward(s, p, d_unpacked_, d_out_, unpacked_);
  else
    decoder_tiles_->backward(s, p, d_unpacked_, d_out_, unpacked_);
  wide_backward(s, p, from_latent_, from_latent_streamed_, d_noisy_code_, d_unpacked_, noisy_code_, move);
  mu_->backward(s, p, d_hidden_, d_noisy_code_.get(), hidden_, batch_);
  wide_backward(s, p, to_latent_, to_latent_streamed_, d_encoded_, d_hidden_, encoded_, move);
  if (encoder_)
    encoder_->backward(s, p, nullptr, d_encoded_, v);
  else
    encoder_tiles_->backward(s, p, nullptr, d_encoded_, v);
}

template <class T> const T *ConvVae<T>::encode(Stream &s, const Parameters<T> &p, const T *v) {
  run_encoder(s, p, v, Mode::infer);
  return code_;
}

template <class T> const T *ConvVae<T>::decode(Stream &s, const Parameters<T> &p, const T *z) {
  run_decoder(s, p, z, Mode::infer);
  return out_;
}

template class ConvVae<float>;
template class ConvVae<double>;

} // namespace theta
