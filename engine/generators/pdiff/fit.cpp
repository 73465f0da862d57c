#include "fit.h"
#include "data/prefetch.h"
#include "engine/diffusion/noisy_target.h"
#include "engine/diffusion/path.h"
#include "engine/memory/arena.h"
#include "engine/training/state_file.h"
#include "engine/training/step_loop.h"
#include "kernels/operations/add.h"
#include "kernels/operations/features.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/random.h"
#include "kernels/operations/reduce.h"
#include "kernels/operations/standardise.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

// Streams of initial values and batch orders: one a network.
constexpr std::uint32_t autoencoder_stream = 0, denoiser_stream = 1;
constexpr int staged_batches = 3;

Adam options_of(const FitRecipe &r, long step) {
  return {.lr = r.lr * LrSchedule{r.schedule, r.steps}.at(step),
          .weight_decay = r.weight_decay,
          .step = step + 1,
          .ema_decay = r.ema_decay};
}

} // namespace

PDiffFit::PDiffFit(PDiffConfig config, std::size_t parameters, std::size_t rows, std::uint64_t seed, Backend backend)
    : config_(std::move(config)), parameters_(parameters), rows_(rows), seed_(seed),
      padded_(config_.padded(parameters)), autoencoder_(config_.autoencoder_shape(parameters)),
      encoder_(config_.autoencoder_shape(parameters)), denoiser_(config_.denoiser_shape()),
      autoencoder_weights_("autoencoder", autoencoder_.parameters(), autoencoder_.buffers(),
                           config_.autoencoder.ema_decay > 0, autoencoder_.early()),
      denoiser_weights_("denoiser", denoiser_.parameters(), denoiser_.buffers(), config_.denoiser.ema_decay > 0) {
  if (rows < 1)
    throw InputError("fit: found no network to train on, expected at least 1");
  if (config_.compact && config_.autoencoder.max_norm > 0)
    throw InputError("fit.autoencoder.max_norm: found ", config_.autoencoder.max_norm,
                     ", expected 0 with fit.compact, where weights move before all gradients are known");
  if (config_.streams() && (config_.autoencoder.max_norm > 0 || config_.autoencoder.ema_decay > 0))
    throw InputError("fit.autoencoder.", config_.autoencoder.max_norm > 0 ? "max_norm" : "ema_decay", ": found ",
                     config_.autoencoder.max_norm > 0 ? config_.autoencoder.max_norm : config_.autoencoder.ema_decay,
                     ", expected 0 with fit.stream, where weights move block by block");
  if (config_.stream == Streaming::memory)
    store_ = std::make_shared<StreamedStore>(autoencoder_.parameters().outside(), config_.moments);
  plan_autoencoder(backend), plan_encode(backend), plan_denoiser(backend);
  const std::size_t made = autoencoder_.parameters().size() * sizeof(float), facts = 2 * parameters_ * sizeof(float);
  autoencoder_plan_.holds_beside(facts), encode_plan_.holds_beside(made + facts);
  denoiser_plan_.holds_beside(made + facts + rows_ * std::size_t(config_.latent) * sizeof(float));
  if (store_)
    for (MemoryPlan *plan : {&autoencoder_plan_, &encode_plan_, &denoiser_plan_})
      plan->lives_beside(store_->plan());
}

std::vector<const MemoryPlan *> PDiffFit::plans() const {
  std::vector<const MemoryPlan *> all{&autoencoder_plan_, &encode_plan_, &denoiser_plan_};
  if (config_.stream == Streaming::memory)
    all.push_back(&store_->plan());
  return all;
}

StreamedLinear::Weights PDiffFit::weights_in_store(std::size_t tensor) const {
  using Part = StreamedStore::Part;
  return {[this, tensor](std::size_t first, std::size_t n, float *value) {
            store_->read(tensor, Part::value, first, n, value);
          },
          [this, tensor](std::size_t first, std::size_t n, float *m, float *v) {
            store_->read(tensor, Part::moment1, first, n, m), store_->read(tensor, Part::moment2, first, n, v);
          },
          [this, tensor](std::size_t first, std::size_t n, const float *value, const float *m, const float *v) {
            store_->write(tensor, Part::value, first, n, value);
            store_->write(tensor, Part::moment1, first, n, m), store_->write(tensor, Part::moment2, first, n, v);
          }};
}

PDiffFit::Input PDiffFit::plan_input(MemoryPlan &plan, int batch, int staged) const {
  Input in;
  const auto v = std::int64_t(parameters_);
  for (int i = 0; i < staged; ++i)
    in.staging.push_back(
        plan.reserve<float>(text("fit.staging.", i), MemoryClass::staging, {batch, v}, "fit.autoencoder.batch"));
  in.mean = plan.reserve<float>("normalizer.mean", MemoryClass::data, {v});
  in.std = plan.reserve<float>("normalizer.std", MemoryClass::data, {v});
  in.theta = plan.reserve<float>("fit.theta", MemoryClass::activations, {batch, v}, "fit.autoencoder.batch");
  in.v = plan.reserve<float>("fit.v", MemoryClass::activations, {batch, padded_}, "fit.autoencoder.batch");
  plan.release(in.theta);
  return in;
}

void PDiffFit::plan_autoencoder(Backend backend) {
  MemoryPlan &plan = autoencoder_plan_;
  const int batch = config_.autoencoder.batch;
  autoencoder_weights_.plan(plan, "fit.latent");
  fit_input_ = plan_input(plan, batch, staged_batches);
  noisy_ = plan.reserve<float>("fit.noisy", MemoryClass::activations, {batch, padded_}, "fit.autoencoder.batch");
  input_noise_ =
      plan.reserve<float>("fit.input_noise", MemoryClass::activations, {batch, padded_}, "fit.autoencoder.batch");
  plan.release(input_noise_);
  latent_noise_ = plan.reserve<float>("fit.latent_noise", MemoryClass::activations, {batch, config_.latent});
  loss_ = plan.reserve<float>("fit.loss", MemoryClass::workspace, {1});
  partials_ = plan.reserve<float>("fit.partials", MemoryClass::workspace, {std::int64_t(partial_sums)});
  autoencoder_.plan(plan, backend, ConvVae<float>::Use::train, batch);
  plan.place();
}

void PDiffFit::plan_encode(Backend backend) {
  MemoryPlan &plan = encode_plan_;
  const int batch = config_.autoencoder.batch;
  encode_values_ = plan.reserve<float>("autoencoder.value", MemoryClass::weights,
                                       {std::int64_t(encoder_.parameters().size())}, "fit.latent");
  encode_buffers_ =
      plan.reserve<float>("autoencoder.buffer", MemoryClass::weights, {std::int64_t(encoder_.buffers().size())});
  encode_input_ = plan_input(plan, batch, 1);
  encoder_.plan(plan, backend, ConvVae<float>::Use::encode, batch);
  plan.place();
}

void PDiffFit::plan_denoiser(Backend backend) {
  MemoryPlan &plan = denoiser_plan_;
  const std::int64_t batch = config_.denoiser.batch, latent = config_.latent;
  denoiser_weights_.plan(plan, "fit.latent");
  d_.latents = plan.reserve<float>("fit.latents", MemoryClass::data, {std::int64_t(rows_), latent}, "fit.latent");
  d_.alpha_bar = plan.reserve<float>("fit.alpha_bar", MemoryClass::data, {config_.diffusion_steps});
  const auto activation = [&](const char *name, std::int64_t width) {
    return plan.reserve<float>(name, MemoryClass::activations, {batch, width}, "fit.denoiser.batch");
  };
  d_.z0 = activation("fit.z0", latent), d_.zt = activation("fit.zt", latent), d_.eps = activation("fit.eps", latent);
  d_.embedding = activation("fit.embedding", config_.time_width);
  d_.t = plan.reserve<float>("fit.t", MemoryClass::activations, {batch});
  d_.loss = plan.reserve<float>("fit.loss", MemoryClass::workspace, {1});
  d_.partials = plan.reserve<float>("fit.partials", MemoryClass::workspace, {std::int64_t(partial_sums)});
  denoiser_.plan(plan, backend, Mode::train, config_.denoiser.batch);
  plan.place();
}

void PDiffFit::upload_normalizer(Stream &s, const Input &in, const PDiff &p) const {
  copy(s, in.mean, p.normalizer.mean.data(), parameters_ * sizeof(float));
  copy(s, in.std, p.normalizer.std.data(), parameters_ * sizeof(float));
}

void PDiffFit::standardise_batch(Stream &s, const Input &in, const float *staged, int batch) const {
  copy(s, in.theta, staged, std::size_t(batch) * parameters_ * sizeof(float));
  standardise<float>(s, in.v, in.theta, in.mean, in.std, batch, parameters_, std::size_t(padded_));
}

void PDiffFit::train(const std::string &stage, Stream &s, const FitRecipe &r, Trainable &weights, const float *loss,
                     const std::function<void(long)> &prepare, const std::function<void(long)> &forward_backward,
                     const SavedState *saved, long first, const Save &save, Journal &journal) {
  if (first > 0)
    weights.load(s, *saved);
  const bool streams = config_.streams() && &weights == &autoencoder_weights_;
  Graph graph;
  const auto step = [&](long i, bool report) {
    const Adam options = options_of(r, i);
    prepare(i);
    const auto learn = [&] {
      forward_backward(i);
      weights.step(s, options, r.max_norm);
    };
    if (streams)
      learn(); // it waits for what streams
    else
      graph.run(s, learn);
    std::vector<std::pair<std::string, double>> metrics;
    if (report)
      metrics = {{"mse", to_host(s, loss, 1)[0]}, {"lr", options.lr}};
    return metrics;
  };
  StepLoop{journal, stage, r.steps, streams && config_.stream == Streaming::file}.run(first, step, [&](long done) {
    std::vector<StateTensor> tensors;
    weights.save(s, tensors);
    save(done, std::move(tensors));
  });
}

void PDiffFit::learn_autoencoder(Stream &s, long i) {
  const FitRecipe &r = config_.autoencoder;
  const std::size_t n = std::size_t(r.batch) * std::size_t(padded_);
  const float *v = fit_input_.v;
  const auto stream = std::uint32_t(i * r.batch);
  fill_normal<float>(s, input_noise_, r.batch, std::size_t(padded_), config_.input_noise,
                     {seed_, Purpose::input_noise, stream});
  fill_normal<float>(s, latent_noise_, r.batch, std::size_t(config_.latent), config_.latent_noise,
                     {seed_, Purpose::latent_noise, stream});
  add_scaled<float>(s, noisy_, v, input_noise_, 1, n);
  const Adam options = options_of(r, i);
  const auto step_early = [&](const TensorRange &tensor, float *gradient) {
    autoencoder_weights_.step_early(s, tensor, gradient, options);
  };
  const FinishEarly<float> finish(step_early);
  const auto parameters = autoencoder_weights_.parameters(&finish);
  const float *out = autoencoder_.forward(s, parameters, noisy_, latent_noise_);
  mean_squared_error<float>(s, loss_, autoencoder_.d_out(), out, v, n, partials_);
  autoencoder_.backward(s, parameters, noisy_, [&](float *value, float *m, float *v, float *gradient, std::size_t n) {
    adam_step<float>(s, value, m, v, nullptr, gradient, n, options);
  });
}

void PDiffFit::fit_autoencoder(Device device, const ZooReader &zoo, const std::vector<std::size_t> &rows, PDiff &p,
                               const SavedState *saved, long first, const Save &save, Journal &journal) {
  const FitRecipe &r = config_.autoencoder;
  Stream s(device);
  const Arena arena(device, autoencoder_plan_);
  autoencoder_weights_.initialise(s, seed_, autoencoder_stream);
  upload_normalizer(s, fit_input_, p);
  if (store_ && first == 0)
    store_->begin(seed_, autoencoder_stream);
  autoencoder_.stream_from([&](std::size_t tensor) { return weights_in_store(tensor); });

  std::vector<float *> staging;
  for (const auto &buffer : fit_input_.staging)
    staging.push_back(buffer);
  Prefetch batches(zoo, staging, std::uint64_t(first), std::size_t(r.batch), [&](std::uint64_t step, std::size_t i) {
    const BatchOrder order{1, r.batch, std::uint32_t(rows.size()), seed_, autoencoder_stream, step};
    return rows[order.example(0, int(i))];
  });
  const auto prepare = [&](long) {
    s.synchronize(); // the copy from the staging buffer that next() gives back
    standardise_batch(s, fit_input_, batches.next(), r.batch);
  };
  train(
      "fit.autoencoder", s, r, autoencoder_weights_, loss_, prepare, [&](long i) { learn_autoencoder(s, i); }, saved,
      first, save, journal);
  p.autoencoder = autoencoder_weights_.finish(s);
  p.autoencoder_buffers = autoencoder_weights_.buffers(s);
}

// The latents of all training networks, [rows, latent].
std::vector<float> PDiffFit::encode(Device device, const ZooReader &zoo, const std::vector<std::size_t> &rows,
                                    const PDiff &p) {
  const int batch = config_.autoencoder.batch;
  const std::size_t latent = std::size_t(config_.latent);
  Stream s(device);
  const Arena arena(device, encode_plan_);
  copy(s, encode_values_, p.autoencoder.data(), p.autoencoder.size() * sizeof(float));
  copy(s, encode_buffers_, p.autoencoder_buffers.data(), p.autoencoder_buffers.size() * sizeof(float));
  upload_normalizer(s, encode_input_, p);
  encoder_.stream_from([&](std::size_t tensor) { return weights_in_store(tensor); });
  const Parameters<float> parameters{encode_values_, nullptr, encode_buffers_};
  float *staging = encode_input_.staging[0];
  std::vector<float> latents;
  for (std::size_t first = 0; first < rows.size(); first += std::size_t(batch)) {
    s.synchronize();
    for (std::size_t b = 0; b < std::size_t(batch); ++b) // the last batch is filled up with its last network
      zoo.theta(rows[std::min(first + b, rows.size() - 1)], staging + b * parameters_);
    standardise_batch(s, encode_input_, staging, batch);
    const float *code = encoder_.encode(s, parameters, encode_input_.v);
    const std::size_t count = std::min(std::size_t(batch), rows.size() - first);
    const auto part = to_host(s, code, count * latent);
    latents.insert(latents.end(), part.begin(), part.end());
  }
  return latents;
}

void PDiffFit::start_denoiser(Stream &s, const std::vector<float> &latents) {
  denoiser_weights_.initialise(s, seed_, denoiser_stream);
  const Path chain = config_.path();
  const std::vector<float> alpha_bar(chain.alpha_bar().begin(), chain.alpha_bar().end());
  copy(s, d_.alpha_bar, alpha_bar.data(), alpha_bar.size() * sizeof(float));
  copy(s, d_.latents, latents.data(), latents.size() * sizeof(float));
  s.synchronize();
}

void PDiffFit::learn_denoiser(Stream &s, long i) {
  const FitRecipe &r = config_.denoiser;
  const std::size_t latent = std::size_t(config_.latent), n = std::size_t(r.batch) * latent;
  const NoisePath<float> path(d_.alpha_bar.get(), config_.diffusion_steps);
  gather_rows<float>(s, d_.z0, d_.latents, latent,
                     {1, r.batch, std::uint32_t(rows_), seed_, denoiser_stream, std::uint64_t(i)});
  noisy_target(s, d_.zt.get(), d_.eps.get(), d_.t.get(), d_.z0.get(),
               {.rows = r.batch, .size = latent, .path = path, .objective = Objective::eps}, seed_,
               std::uint32_t(i * r.batch), std::uint32_t(i));
  whole_number_features<float>(s, d_.embedding, d_.t, r.batch, config_.time_width);
  const auto parameters = denoiser_weights_.parameters();
  const float *predicted = denoiser_.forward(s, parameters, d_.zt, d_.embedding, Mode::train);
  mean_squared_error<float>(s, d_.loss, denoiser_.d_out(), predicted, d_.eps, n, d_.partials);
  denoiser_.backward(s, parameters, d_.embedding);
}

void PDiffFit::fit_denoiser(Device device, const std::vector<float> &latents, PDiff &p, const SavedState *saved,
                            long first, const Save &save, Journal &journal) {
  Stream s(device);
  const Arena arena(device, denoiser_plan_);
  start_denoiser(s, latents);
  train(
      "fit.denoiser", s, config_.denoiser, denoiser_weights_, d_.loss, [](long) {},
      [&](long i) { learn_denoiser(s, i); }, saved, first, save, journal);
  p.denoiser = denoiser_weights_.finish(s);
  p.denoiser_buffers = denoiser_weights_.buffers(s);
}

std::function<void(int)> PDiffFit::rehearsal(Phase phase, Stream &s) {
  const auto arena = std::make_shared<Arena>(s.device(), plan_of(phase));
  const auto graph = std::make_shared<Graph>();
  const FitRecipe &r = is_first(phase) ? config_.autoencoder : config_.denoiser;
  const auto random = [&](std::size_t n) {
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i)
      values[i] = normal(seed_, Purpose::test, 0, i);
    return values;
  };
  if (is_first(phase)) {
    autoencoder_weights_.initialise(s, seed_, autoencoder_stream);
    PDiff as_they_are;
    as_they_are.normalizer = {std::vector<float>(parameters_, 0), std::vector<float>(parameters_, 1)};
    upload_normalizer(s, fit_input_, as_they_are);
    s.synchronize();
    const auto networks = random(std::size_t(r.batch) * parameters_);
    std::copy(networks.begin(), networks.end(), fit_input_.staging[0].get());
  } else {
    start_denoiser(s, random(rows_ * std::size_t(config_.latent)));
  }
  return [this, phase, &s, &r, arena, graph](int i) {
    if (is_first(phase))
      standardise_batch(s, fit_input_, fit_input_.staging[0], r.batch);
    graph->run(s, [&] {
      is_first(phase) ? learn_autoencoder(s, i) : learn_denoiser(s, i);
      (is_first(phase) ? autoencoder_weights_ : denoiser_weights_).step(s, options_of(r, i), r.max_norm);
    });
  };
}

PDiff PDiffFit::run(Device device, const ZooReader &zoo, const std::vector<std::size_t> &rows,
                    const std::filesystem::path &state_path, const std::string &key, Journal &journal) {
  if (rows.size() != rows_ || zoo.parameters() != parameters_)
    throw InputError("fit: found ", rows.size(), " networks of ", zoo.parameters(), " parameters, expected ", rows_,
                     " of ", parameters_);
  auto state = load_state(state_path, key);
  // Where weights stream from is not in the key: a state that was saved otherwise has them elsewhere, or in other
  // codes.
  const std::map<std::string, long> how{{"stream", long(config_.stream)}, {"moments", long(config_.moments)}};
  if (state && !std::all_of(how.begin(), how.end(), [&](const auto &each) {
        return state->has_number(each.first) && state->number(each.first) == each.second;
      }))
    state.reset();
  const bool in_files = config_.stream == Streaming::file;
  if (config_.stream == Streaming::memory) {
    store_->hold(device);
    if (state)
      store_->load(*state);
  }
  if (in_files) {
    store_ = std::make_shared<StreamedStore>(state_path.parent_path() / ".autoencoder.weights",
                                             autoencoder_.parameters().outside(), config_.moments);
    if (state && (!state->has_number("generation") || !store_->is_there(int(state->number("generation")))))
      state.reset(); // its weights are gone
    if (state)
      store_->open(int(state->number("generation")));
  }
  const SavedState *saved = state ? &*state : nullptr;
  const long phase = state ? state->number("phase") : 0, done = state ? state->number("step") : 0;
  PDiff p{.config = config_, .networks = zoo.format()};
  p.normalizer = fit_normalizer(config_.normalizer, zoo, rows);

  if (phase == 0)
    fit_autoencoder(
        device, zoo, rows, p, saved, done,
        [&, last = done](long step, std::vector<StateTensor> tensors) mutable {
          std::map<std::string, long> count = how;
          count["phase"] = 0, count["step"] = step;
          const bool moved = in_files && step > last; // what the step wrote is there before the state says so
          if (moved)
            store_->sync();
          if (in_files)
            count["generation"] = moved ? 1 - store_->generation() : store_->generation();
          else if (store_)
            store_->save(tensors, true);
          save_state(state_path, {key, std::move(count), std::move(tensors)});
          if (moved)
            store_->flip();
          last = step;
        },
        journal);
  else
    p.autoencoder = state->tensor("result"), p.autoencoder_buffers = state->tensor("result_buffers");
  p.streamed = store_;

  // Standardised per dimension.
  const std::size_t latent = std::size_t(config_.latent);
  auto latents = encode(device, zoo, rows, p);
  p.latent_mean.assign(latent, 0), p.latent_std.assign(latent, 1);
  for (std::size_t i = 0; i < latent; ++i) {
    double mean = 0, variance = 0;
    for (std::size_t k = 0; k < rows_; ++k)
      mean += latents[k * latent + i] / double(rows_);
    for (std::size_t k = 0; k < rows_; ++k)
      variance += std::pow(latents[k * latent + i] - mean, 2) / double(rows_);
    p.latent_mean[i] = float(mean);
    if (variance > 1e-12) // else the encoder ignores this dimension
      p.latent_std[i] = float(std::sqrt(variance));
    for (std::size_t k = 0; k < rows_; ++k)
      latents[k * latent + i] = (latents[k * latent + i] - p.latent_mean[i]) / p.latent_std[i];
  }

  const auto save_denoiser = [&](long step, std::vector<StateTensor> tensors) {
    tensors.push_back(state_of("result", p.autoencoder));
    tensors.push_back(state_of("result_buffers", p.autoencoder_buffers));
    std::map<std::string, long> count = how;
    count["phase"] = 1, count["step"] = step;
    if (in_files)
      count["generation"] = store_->generation();
    else if (store_)
      store_->save(tensors, false);
    save_state(state_path, {key, std::move(count), std::move(tensors)});
  };
  if (phase == 0)
    save_denoiser(0, {});
  fit_denoiser(device, latents, p, saved, phase == 1 ? done : 0, save_denoiser, journal);
  return p;
}

} // namespace theta
