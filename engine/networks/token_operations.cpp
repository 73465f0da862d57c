// Operations of programs on tokens.
#include "kernels/operations/activation.h"
#include "kernels/operations/attention.h"
#include "kernels/operations/gemm.h"
#include "kernels/operations/lookup.h"
#include "operations.h"
#include "step.h"

namespace theta {

namespace {

template <class T> class AttentionStep;
class AttentionOperation : public OperationWith<AttentionOperation, AttentionStep> {
public:
  AttentionOperation(int tokens, int heads, int head) : tokens(tokens), heads(heads), head(head) {}
  void tie(Ties &ties) const override { ties.in_runs(from[0], to, heads, head); }
  int tokens, heads, head;
};

template <class T> class AttentionStep : public Step<T> {
public:
  explicit AttentionStep(const AttentionOperation &of) : of_(of) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    const auto reserve = [&](const char *what) {
      return plan.reserve<T>(text(sizes.name, what, sizes.number), MemoryClass::activations,
                             {sizes.networks, sizes.rows, of_.heads, of_.tokens}, sizes.hint);
    };
    log_sum_ = reserve(".log_sum.");
    if (sizes.training)
      sums_ = reserve(".sums.");
  }
  void plan_done(MemoryPlan &plan) override { plan.release(log_sum_, sums_); }
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    attention_forward<T>(s, w.y, log_sum_, w.x[0], nullptr, shape(w));
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    if (w.adds[0] || !w.dx[0])
      throw Error("attention: found queries, keys and values that something else reads, or nothing made");
    attention_backward<T>(s, w.dx[0], w.dy, w.y, log_sum_, w.x[0], nullptr, sums_, shape(w));
  }

private:
  Attention shape(const StepWork<T> &w) const { return {w.networks * w.rows, of_.tokens, of_.heads, of_.head}; }
  const AttentionOperation &of_;
  Tensor<T> log_sum_, sums_; // [networks, rows, heads, tokens]
};

template <class T> class EmbeddingStep;
class EmbeddingOperation : public OperationWith<EmbeddingOperation, EmbeddingStep> {
public:
  EmbeddingOperation(std::size_t tensor, std::size_t offset, int tokens, int vocabulary, int width)
      : tensor(tensor), offset(offset), tokens(tokens), vocabulary(vocabulary), width(width) {}
  void tie(Ties &ties) const override { ties.along(to, UnitAxis::Role::incoming, tensor, 1); }
  std::size_t tensor, offset;
  int tokens, vocabulary, width;
};

template <class T> class EmbeddingStep : public Step<T> {
public:
  explicit EmbeddingStep(const EmbeddingOperation &of) : of_(of) {}
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    lookup_forward<T>(s, w.y, w.theta + of_.offset, w.x[0], lookup(w));
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    lookup_backward<T>(s, w.gradient + of_.offset, w.dy, w.x[0], lookup(w));
  }

private:
  Lookup lookup(const StepWork<T> &w) const {
    return {w.networks, w.rows * of_.tokens, of_.vocabulary, of_.width, w.parameters, w.stride[0]};
  }
  const EmbeddingOperation &of_;
};

template <class T> class PositionsStep;
class PositionsOperation : public OperationWith<PositionsOperation, PositionsStep> {
public:
  PositionsOperation(std::size_t tensor, std::size_t offset, int elements)
      : tensor(tensor), offset(offset), elements(elements) {}
  void tie(Ties &ties) const override {
    ties.same(from[0], to);
    ties.along(to, UnitAxis::Role::bias, tensor, 1);
  }
  std::size_t tensor, offset;
  int elements; // tokens·width
};

template <class T> class PositionsStep : public Step<T> {
public:
  explicit PositionsStep(const PositionsOperation &of) : of_(of) {}
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i)
      bias_act_forward<T>(s, w.y + i * of_y(w), w.x[0] + i * w.stride[0], w.theta + i * w.parameters + of_.offset,
                          {1, w.rows, of_.elements});
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    bias_act_backward<T>(s, w.d, w.gradient + of_.offset, w.dy, w.y, nullptr,
                         {w.networks, w.rows, of_.elements, w.parameters});
    hand_down<T>(s, w, w.d, std::size_t(w.networks) * of_y(w));
  }

private:
  std::size_t of_y(const StepWork<T> &w) const { return std::size_t(w.rows) * std::size_t(of_.elements); }
  const PositionsOperation &of_;
};

template <class T> class MeanStep;
class MeanOperation : public OperationWith<MeanOperation, MeanStep> {
public:
  MeanOperation(int tokens, int width) : tokens(tokens), width(width), share(std::size_t(tokens), 1.0 / tokens) {}
  void tie(Ties &ties) const override { ties.same(from[0], to); }
  int tokens, width;
  std::vector<double> share; // of each token
};

// A product with a row of shares, example by example.
template <class T> class MeanStep : public Step<T> {
public:
  explicit MeanStep(const MeanOperation &of) : of_(of), values_(of.share.begin(), of.share.end()) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    share_ = plan.reserve<T>(text(sizes.name, ".share.", sizes.number), MemoryClass::workspace, {of_.tokens});
  }
  void plan_done(MemoryPlan &plan) override { plan.release(share_); }
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    copy(s, share_, values_.data(), values_.size() * sizeof(T));
    gemm<T>(s, w.y, share_, w.x[0],
            {.m = 1,
             .n = of_.width,
             .k = of_.tokens,
             .batch = w.networks * w.rows,
             .stride_b = of_x(),
             .stride_c = std::size_t(of_.width)});
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    if (w.dx[0])
      gemm<T>(s, w.dx[0], share_, w.dy,
              {.m = of_.tokens,
               .n = of_.width,
               .k = 1,
               .accumulate = w.adds[0],
               .batch = w.networks * w.rows,
               .stride_b = std::size_t(of_.width),
               .stride_c = of_x()});
  }

private:
  std::size_t of_x() const { return std::size_t(of_.tokens) * std::size_t(of_.width); }
  const MeanOperation &of_;
  std::vector<T> values_;
  Tensor<T> share_; // [tokens]
};

// Throws InputError where x is no row of tokens.
void check_tokens(const Program &p, Value x, const char *what) {
  if (p.shape(x).size() != 2 || x.number == 0)
    throw InputError("network: ", what, ": found ", text_of(p.shape(x)), ", expected tokens that an operation made");
}

} // namespace

Value attention(Program &p, Value x, int heads) {
  check_tokens(p, x, "attention");
  const int tokens = int(p.shape(x)[0]), width = p.width(x) / 3;
  if (heads < 1 || p.width(x) % (3 * heads) != 0)
    throw InputError("network: attention: found ", heads, " heads of ", p.width(x),
                     " queries, keys and values, expected heads that divide them");
  return p.append(std::make_unique<AttentionOperation>(tokens, heads, width / heads), {x}, {tokens, width});
}

Value embedding(Program &p, const std::string &name, Value numbers, int vocabulary, int width) {
  if (p.shape(numbers).size() != 1 || numbers.number != 0)
    throw InputError("network: embedding: found ", text_of(p.shape(numbers)), " as value ", numbers.number,
                     ", expected the numbers that are the input");
  const int tokens = p.width(numbers);
  const std::size_t tensor =
      p.tensor(name + ".weight", {vocabulary, width}, {.bound = 1.7320508075688772}); // of deviation 1
  return p.append(
      std::make_unique<EmbeddingOperation>(tensor, p.trained().places()[tensor].offset, tokens, vocabulary, width),
      {numbers}, {tokens, width});
}

Value positions(Program &p, const std::string &name, Value x) {
  check_tokens(p, x, "positions");
  const std::size_t tensor = p.tensor(name, p.shape(x), {.bound = 0.02 * 1.7320508075688772});
  return p.append(std::make_unique<PositionsOperation>(tensor, p.trained().places()[tensor].offset, int(p.elements(x))),
                  {x}, p.shape(x));
}

Value mean_of_tokens(Program &p, Value x) {
  check_tokens(p, x, "mean");
  return p.append(std::make_unique<MeanOperation>(int(p.shape(x)[0]), p.width(x)), {x}, {p.width(x)});
}

} // namespace theta
