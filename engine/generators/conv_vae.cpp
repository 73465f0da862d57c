#include "conv_vae.h"
#include "kernels/add.h"
#include <algorithm>
#include <utility>

namespace theta {

template <class T> ConvVae<T>::ConvVae(const ConvVaeShape &shape) : shape_(shape) {
  const auto levels = shape.channels.size();
  if (levels == 0 || shape.length <= 0 || shape.length % (1 << levels) != 0)
    throw InputError("conv_vae: a length of ", shape.length, " cannot be halved ", levels, " times");
  int channels = 1, length = shape.length;
  for (std::size_t i = 0; i < levels; ++i) {
    const std::string name = text("enc.", i);
    encoder_.emplace_back(parameters_, buffers_, name + ".0", name + ".1",
                          ConvBlockShape{channels, shape.channels[i], length, shape.kernel, 2, false,
                                         theta::Activation::leaky_relu, shape.arithmetic});
    channels = shape.channels[i], length /= 2;
  }
  const int width = channels * length;
  to_latent_.emplace(parameters_, "to_latent", width, shape.latent, shape.arithmetic);
  mu_.emplace(parameters_, "mu", shape.latent, shape.latent, shape.arithmetic);
  from_latent_.emplace(parameters_, "from_latent", shape.latent, width, shape.arithmetic);
  for (std::size_t i = 0; i < levels; ++i) { // mirrored, the widest resolution keeping the first encoder width
    const std::string name = text("dec.", i);
    const int out = i + 1 < levels ? shape.channels[levels - 2 - i] : shape.channels[0];
    decoder_.emplace_back(
        parameters_, buffers_, name + ".0", name + ".1",
        ConvBlockShape{channels, out, length, shape.kernel, 2, true, theta::Activation::elu, shape.arithmetic});
    channels = out, length *= 2;
  }
  decoder_.emplace_back(parameters_, buffers_, "last", "",
                        ConvBlockShape{.in_channels = channels,
                                       .out_channels = 1,
                                       .in_length = length,
                                       .kernel = shape.kernel,
                                       .arithmetic = shape.arithmetic});
}

template <class T>
auto ConvVae<T>::reserve(MemoryPlan &plan, const std::string &name, Shape shape) const -> Activation {
  return {.slot = plan.reserve<T>("vae." + name, MemoryClass::activations, std::move(shape), "batch"),
          .gradient_slot = {}};
}

template <class T> void ConvVae<T>::reserve_gradient(MemoryPlan &plan, const std::string &name, Activation &a) const {
  a.gradient_slot = plan.reserve<T>("vae.d_" + name, MemoryClass::activations, plan[a.slot].shape, "batch");
}

template <class T> void ConvVae<T>::release(MemoryPlan &plan, Activation &a) const {
  if (!a.dropped)
    plan.release(a.slot);
  if (a.gradient_slot)
    plan.release(a.gradient_slot);
}

template <class T> void ConvVae<T>::drop(MemoryPlan &plan, Activation &a) const {
  if (std::exchange(a.dropped, shape_.recompute) != shape_.recompute)
    plan.release(a.slot);
}

template <class T> void ConvVae<T>::plan_again(MemoryPlan &plan, const std::string &name, Activation &a) const {
  if (shape_.recompute)
    a.again_slot = plan.reserve<T>("vae." + name + ".again", MemoryClass::activations, plan[a.slot].shape, "batch");
}

template <class T> void ConvVae<T>::plan_again_done(MemoryPlan &plan, const Activation &a) const {
  if (a.again_slot)
    plan.release(a.again_slot);
}

template <class T>
void ConvVae<T>::run_again(Stream &s, const Parameters<T> &p, const ConvBlock<T> &block, const Activation &a) const {
  if (shape_.recompute)
    block.again(s, p, a.again);
}

template <class T> void ConvVae<T>::bind(const Arena &arena, Activation &a) const {
  if (a.slot)
    a.value = arena.at<T>(a.slot);
  if (a.gradient_slot)
    a.gradient = arena.at<T>(a.gradient_slot);
  if (a.again_slot)
    a.again = arena.at<T>(a.again_slot);
}

template <class T> void ConvVae<T>::plan_encoder(MemoryPlan &plan, Mode mode) {
  encoded_.clear();
  for (std::size_t i = 0; i < encoder_.size(); ++i) {
    const std::string name = text("enc.", i);
    encoder_[i].plan_forward(plan, "vae." + name, batch_, mode);
    encoded_.push_back(reserve(plan, name, {batch_, encoder_[i].out_channels(), encoder_[i].out_length()}));
    if (i > 0)
      mode == Mode::infer ? release(plan, encoded_[i - 1]) : drop(plan, encoded_[i - 1]);
  }
  hidden_ = reserve(plan, "hidden", {batch_, shape_.latent});
  if (mode == Mode::train)
    drop(plan, encoded_.back());
  code_ = reserve(plan, "code", {batch_, shape_.latent});
}

template <class T> void ConvVae<T>::plan_decoder(MemoryPlan &plan, Mode mode) {
  decoded_.clear();
  unpacked_ = reserve(plan, "unpacked", {batch_, from_latent_->out()});
  for (std::size_t i = 0; i < decoder_.size(); ++i) {
    const std::string name = i + 1 < decoder_.size() ? text("dec.", i) : "last";
    decoder_[i].plan_forward(plan, "vae." + name, batch_, mode);
    decoded_.push_back(reserve(plan, name, {batch_, decoder_[i].out_channels(), decoder_[i].out_length()}));
    if (mode == Mode::infer)
      release(plan, i > 0 ? decoded_[i - 1] : unpacked_);
    else if (i > 0)
      drop(plan, decoded_[i - 1]);
  }
}

// Walks the layers backwards as backward() does: a gradient is reserved before the layer that writes it runs, and what
// the layer read is released after it.
template <class T> void ConvVae<T>::plan_backward(MemoryPlan &plan) {
  reserve_gradient(plan, "out", decoded_.back());
  d_out_slot_ = decoded_.back().gradient_slot;
  for (std::size_t i = decoder_.size(); i-- > 0;) {
    reserve_gradient(plan, i > 0 ? text("dec.", i - 1) : "unpacked", i > 0 ? decoded_[i - 1] : unpacked_);
    if (i > 0)
      plan_again(plan, text("dec.", i - 1), decoded_[i - 1]);
    if (i > 0)
      plan_again_done(plan, decoded_[i - 1]);
    decoder_[i].plan_backward_done(plan);
    release(plan, decoded_[i]);
  }
  reserve_gradient(plan, "noisy_code", noisy_code_);
  release(plan, unpacked_);
  reserve_gradient(plan, "hidden", hidden_);
  release(plan, noisy_code_);
  plan.release(code_.slot);
  reserve_gradient(plan, "enc", encoded_.back());
  plan_again(plan, "enc", encoded_.back());
  plan_again_done(plan, encoded_.back());
  release(plan, hidden_);
  for (std::size_t i = encoder_.size(); i-- > 0;) {
    if (i > 0) {
      reserve_gradient(plan, text("enc.", i - 1), encoded_[i - 1]);
      plan_again(plan, text("enc.", i - 1), encoded_[i - 1]);
    }
    if (i > 0)
      plan_again_done(plan, encoded_[i - 1]);
    encoder_[i].plan_backward_done(plan);
    release(plan, encoded_[i]);
  }
}

template <class T> void ConvVae<T>::plan(MemoryPlan &plan, Backend backend, Use use, int batch) {
  *this = ConvVae(shape_); // forgets an earlier plan
  batch_ = batch, use_ = use;
  std::size_t workspace = 1;
  for (const auto *blocks : {&encoder_, &decoder_})
    for (const auto &block : *blocks)
      workspace = std::max(workspace, block.workspace(backend, batch));
  workspace_slot_ = plan.reserve<T>("vae.workspace", MemoryClass::workspace, {std::int64_t(workspace)});
  const Mode mode = use == Use::train ? Mode::train : Mode::infer;
  if (use != Use::decode)
    plan_encoder(plan, mode);
  if (use == Use::train)
    noisy_code_ = reserve(plan, "noisy_code", {batch, shape_.latent});
  if (use != Use::encode)
    plan_decoder(plan, mode);
  if (use == Use::train)
    plan_backward(plan);
}

template <class T> void ConvVae<T>::bind(const Arena &arena) {
  for (auto *all : {&encoded_, &decoded_})
    for (auto &a : *all)
      bind(arena, a);
  for (auto *a : {&hidden_, &code_, &noisy_code_, &unpacked_})
    bind(arena, *a);
  T *workspace = arena.at<T>(workspace_slot_);
  for (auto *blocks : {&encoder_, &decoder_})
    for (auto &block : *blocks)
      block.bind(arena, workspace);
  if (use_ == Use::train)
    d_out_ = arena.at<T>(d_out_slot_);
}

template <class T> void ConvVae<T>::run_encoder(Stream &s, const Parameters<T> &p, const T *v, Mode mode) {
  for (std::size_t i = 0; i < encoder_.size(); ++i)
    encoder_[i].forward(s, p, encoded_[i].value, i > 0 ? encoded_[i - 1].value : v, mode);
  to_latent_->forward(s, p, hidden_.value, static_cast<const T *>(encoded_.back().value), batch_);
  mu_->forward(s, p, code_.value, static_cast<const T *>(hidden_.value), batch_);
}

template <class T> void ConvVae<T>::run_decoder(Stream &s, const Parameters<T> &p, const T *z, Mode mode) {
  from_latent_->forward(s, p, unpacked_.value, z, batch_);
  for (std::size_t i = 0; i < decoder_.size(); ++i)
    decoder_[i].forward(s, p, decoded_[i].value, i > 0 ? decoded_[i - 1].value : unpacked_.value, mode);
}

template <class T> const T *ConvVae<T>::forward(Stream &s, const Parameters<T> &p, const T *v, const T *latent_noise) {
  run_encoder(s, p, v, Mode::train);
  add_scaled<T>(s, noisy_code_.value, code_.value, latent_noise, 1, std::size_t(batch_) * shape_.latent);
  run_decoder(s, p, noisy_code_.value, Mode::train);
  return decoded_.back().value;
}

template <class T> void ConvVae<T>::backward(Stream &s, const Parameters<T> &p, const T *v) {
  for (std::size_t i = decoder_.size(); i-- > 0;) {
    const Activation &in = i > 0 ? decoded_[i - 1] : unpacked_;
    if (i > 0)
      run_again(s, p, decoder_[i - 1], in);
    decoder_[i].backward(s, p, in.gradient, decoded_[i].gradient, decoded_[i].gradient, in.input());
  }
  const auto output_gradient = [](const Activation &a) -> const T * { return a.gradient; };
  from_latent_->backward(s, p, noisy_code_.gradient, output_gradient(unpacked_), noisy_code_.input(), batch_);
  mu_->backward(s, p, hidden_.gradient, output_gradient(noisy_code_), hidden_.input(), batch_);
  run_again(s, p, encoder_.back(), encoded_.back());
  to_latent_->backward(s, p, encoded_.back().gradient, output_gradient(hidden_), encoded_.back().input(), batch_);
  for (std::size_t i = encoder_.size(); i-- > 0;) {
    if (i > 0)
      run_again(s, p, encoder_[i - 1], encoded_[i - 1]);
    encoder_[i].backward(s, p, i > 0 ? encoded_[i - 1].gradient : nullptr, encoded_[i].gradient, encoded_[i].gradient,
                         i > 0 ? encoded_[i - 1].input() : v);
  }
}

template <class T> const T *ConvVae<T>::encode(Stream &s, const Parameters<T> &p, const T *v) {
  run_encoder(s, p, v, Mode::infer);
  return code_.value;
}

template <class T> const T *ConvVae<T>::decode(Stream &s, const Parameters<T> &p, const T *z) {
  run_decoder(s, p, z, Mode::infer);
  return decoded_.back().value;
}

template class ConvVae<float>;
template class ConvVae<double>;

} // namespace theta
