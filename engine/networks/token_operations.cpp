// Operations of programs on tokens.
#include "kernels/operations/activation.h"
#include "kernels/operations/add.h"
#include "kernels/operations/attention.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/gemm.h"
#include "kernels/operations/lookup.h"
#include "kernels/operations/modulate.h"
#include "kernels/operations/rotary.h"
#include "kernels/operations/transpose.h"
#include "operations.h"
#include "step.h"

namespace theta {

namespace {

template <class T> class AttentionStep;
class AttentionOperation : public OperationWith<AttentionOperation, AttentionStep> {
public:
  AttentionOperation(int tokens, int heads, int head, bool causal)
      : tokens(tokens), heads(heads), head(head), causal(causal) {}
  void tie(Ties &ties) const override { ties.in_runs(from[0], to, heads, head); }
  int tokens, heads, head;
  bool causal;
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
  Attention shape(const StepWork<T> &w) const {
    return {w.networks * w.rows, of_.tokens, of_.heads, of_.head, of_.causal};
  }
  const AttentionOperation &of_;
  Tensor<T> log_sum_, sums_; // [networks, rows, heads, tokens]
};

template <class T> class RotaryStep;
class RotaryOperation : public OperationWith<RotaryOperation, RotaryStep> {
public:
  RotaryOperation(int tokens, int heads, int head) : tokens(tokens), heads(heads), head(head) {}
  void tie(Ties &ties) const override { ties.same(from[0], to), ties.turned(to); }
  int tokens, heads, head;
};

template <class T> class RotaryStep : public Step<T> {
public:
  explicit RotaryStep(const RotaryOperation &of) : of_(of) {}
  void forward(Stream &s, const StepWork<T> &w, bool) override { rotate<T>(s, w.y, w.x[0], shape(w, false)); }
  void backward(Stream &s, const StepWork<T> &w) override {
    const Rotary back = shape(w, true);
    rotate<T>(s, gradient_of(w), w.dy, back);
    hand_down<T>(s, w, gradient_of(w),
                 std::size_t(back.sequences) * std::size_t(of_.tokens) * 3 * std::size_t(of_.heads * of_.head));
  }

private:
  Rotary shape(const StepWork<T> &w, bool back) const {
    return {w.networks * w.rows, of_.tokens, of_.heads, of_.head, back};
  }
  const RotaryOperation &of_;
};

template <class T> class EmbeddingStep;
class EmbeddingOperation : public OperationWith<EmbeddingOperation, EmbeddingStep> {
public:
  EmbeddingOperation(std::size_t tensor, std::size_t offset, int tokens, int vocabulary, int width)
      : tensor(tensor), offset(offset), tokens(tokens), vocabulary(vocabulary), width(width) {}
  void tie(Ties &ties) const override { ties.along(to, UnitAxis::Role::incoming, tensor, 1); }
  bool is_layer() const override { return true; } // of numbers as vectors of one 1
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

template <class T> class VocabularyStep;
class VocabularyOperation : public OperationWith<VocabularyOperation, VocabularyStep> {
public:
  VocabularyOperation(const EmbeddingOperation &of)
      : embedded(of.to), tensor(of.tensor), weight(of.offset), tokens(of.tokens), vocabulary(of.vocabulary),
        width(of.width) {}
  void tie(Ties &ties) const override {
    ties.same(from[0], embedded);
    ties.along(from[0], UnitAxis::Role::outgoing, tensor, 1);
  }
  double multiply_adds() const override { return double(tokens) * width * vocabulary; }

  Value embedded;
  std::size_t tensor, weight; // index in the layout; offset
  int tokens, vocabulary, width;
};

template <class T> class VocabularyStep : public Step<T> {
public:
  explicit VocabularyStep(const VocabularyOperation &of) : of_(of) {}
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    gemm<T>(s, w.y, w.x[0], w.theta + of_.weight,
            {.m = rows(w),
             .n = of_.vocabulary,
             .k = of_.width,
             .transpose_b = true,
             .batch = w.networks,
             .stride_a = w.stride[0],
             .stride_b = w.parameters,
             .stride_c = of_y(w),
             .arithmetic = w.arithmetic});
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    if (w.trains)
      gemm<T>(s, w.gradient + of_.weight, w.dy, w.x[0],
              {.m = of_.vocabulary,
               .n = of_.width,
               .k = rows(w),
               .transpose_a = true,
               .accumulate = true,
               .batch = w.networks,
               .stride_a = of_y(w),
               .stride_b = w.stride[0],
               .stride_c = w.parameters,
               .arithmetic = w.arithmetic});
    if (w.dx[0])
      gemm<T>(s, w.dx[0], w.dy, w.theta + of_.weight,
              {.m = rows(w),
               .n = of_.width,
               .k = of_.vocabulary,
               .accumulate = w.adds[0],
               .batch = w.networks,
               .stride_a = of_y(w),
               .stride_b = w.parameters,
               .stride_c = std::size_t(rows(w)) * std::size_t(of_.width),
               .arithmetic = w.arithmetic});
  }

private:
  int rows(const StepWork<T> &w) const { return w.rows * of_.tokens; }
  std::size_t of_y(const StepWork<T> &w) const { return std::size_t(rows(w)) * std::size_t(of_.vocabulary); }
  const VocabularyOperation &of_;
};

template <class T> class PositionsStep;
class PositionsOperation : public OperationWith<PositionsOperation, PositionsStep> {
public:
  PositionsOperation(std::size_t tensor, std::size_t offset, int axis, int elements)
      : tensor(tensor), offset(offset), axis(axis), elements(elements) {}
  void tie(Ties &ties) const override {
    ties.same(from[0], to);
    ties.along(to, UnitAxis::Role::bias, tensor, axis);
  }
  std::size_t tensor, offset;
  int axis, elements; // of the width; tokens·width
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
    bias_act_backward<T>(s, gradient_of(w), w.gradient + of_.offset, w.dy, w.y, nullptr,
                         {w.networks, w.rows, of_.elements, w.parameters});
    hand_down<T>(s, w, gradient_of(w), std::size_t(w.networks) * of_y(w));
  }

private:
  std::size_t of_y(const StepWork<T> &w) const { return std::size_t(w.rows) * std::size_t(of_.elements); }
  const PositionsOperation &of_;
};

template <class T> class ClassTokenStep;
class ClassTokenOperation : public OperationWith<ClassTokenOperation, ClassTokenStep> {
public:
  ClassTokenOperation(std::size_t tensor, std::size_t offset, int tokens, int width)
      : tensor(tensor), offset(offset), tokens(tokens), width(width) {}
  void tie(Ties &ties) const override {
    ties.same(from[0], to);
    ties.along(to, UnitAxis::Role::bias, tensor, 2);
  }
  std::size_t tensor, offset;
  int tokens, width; // before it comes
};

template <class T> class ClassTokenStep : public Step<T> {
public:
  explicit ClassTokenStep(const ClassTokenOperation &of) : of_(of) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    if (sizes.training)
      first_ = plan.reserve<T>(text(sizes.name, ".first.", sizes.number), MemoryClass::workspace,
                               {sizes.rows, of_.width}, sizes.hint),
      rest_ = plan.reserve<T>(text(sizes.name, ".rest.", sizes.number), MemoryClass::workspace,
                              {sizes.rows, of_.tokens, of_.width}, sizes.hint);
  }
  void plan_done(MemoryPlan &plan) override { plan.release(first_, rest_); }
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i) {
      T *y = w.y + i * of_y(w);
      copy_rows<T>(s, y, of_x() + width(), w.theta + i * w.parameters + of_.offset, 0, w.rows, width());
      copy_rows<T>(s, y + width(), of_x() + width(), w.x[0] + i * w.stride[0], of_x(), w.rows, of_x());
    }
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    const BiasAct sums{1, w.rows, of_.width};
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i) {
      const T *dy = w.dy + i * of_y(w);
      copy_rows<T>(s, first_, width(), dy, of_x() + width(), w.rows, width());
      bias_act_backward<T>(s, first_, w.gradient + i * w.parameters + of_.offset, first_, first_, nullptr, sums);
      if (!w.dx[0])
        continue;
      const std::size_t n = std::size_t(w.rows) * of_x();
      T *dx = w.dx[0] + i * n;
      copy_rows<T>(s, w.adds[0] ? rest_.get() : dx, of_x(), dy + width(), of_x() + width(), w.rows, of_x());
      if (w.adds[0])
        add_scaled<T>(s, dx, dx, rest_, 1, n);
    }
  }

private:
  std::size_t width() const { return std::size_t(of_.width); }
  std::size_t of_x() const { return std::size_t(of_.tokens) * width(); }
  std::size_t of_y(const StepWork<T> &w) const { return std::size_t(w.rows) * (of_x() + width()); }
  const ClassTokenOperation &of_;
  Tensor<T> first_, rest_; // gradients of one network: of the token, of all others
};

template <class T> class TurnStep;
class TurnOperation : public OperationWith<TurnOperation, TurnStep> {
public:
  TurnOperation(int rows, int cols) : rows(rows), cols(cols) {}
  void tie(Ties &ties) const override { ties.same(from[0], to); }
  int rows, cols; // of an example, which becomes [cols, rows]
};

template <class T> class TurnStep : public Step<T> {
public:
  explicit TurnStep(const TurnOperation &of) : of_(of) {}
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    const std::size_t n = std::size_t(w.rows) * std::size_t(of_.rows) * std::size_t(of_.cols);
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i)
      transpose<T>(s, w.y + i * n, w.x[0] + i * w.stride[0], w.rows, of_.rows, of_.cols);
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    if (w.dx[0])
      transpose<T>(s, w.dx[0], w.dy, w.networks * w.rows, of_.cols, of_.rows, w.adds[0]);
  }

private:
  const TurnOperation &of_;
};

template <class T> class ScaledSumStep;
class ScaledSumOperation : public OperationWith<ScaledSumOperation, ScaledSumStep> {
public:
  ScaledSumOperation(std::size_t tensor, std::size_t offset, int rows, int width)
      : tensor(tensor), offset(offset), rows(rows), width(width) {}
  void tie(Ties &ties) const override {
    ties.same(from[0], from[1]), ties.same(from[0], to);
    ties.along(to, UnitAxis::Role::bias, tensor, 0);
  }
  std::size_t tensor, offset;
  int rows, width; // of an example
};

template <class T> class ScaledSumStep : public Step<T> {
public:
  explicit ScaledSumStep(const ScaledSumOperation &of) : of_(of) {}
  void plan(MemoryPlan &plan, const StepSizes &sizes) override {
    if (sizes.training)
      scale_ = plan.reserve<T>(text(sizes.name, ".scale.", sizes.number), MemoryClass::workspace, {of_.width});
  }
  void plan_done(MemoryPlan &plan) override { plan.release(scale_); }
  void forward(Stream &s, const StepWork<T> &w, bool) override {
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i)
      gate_forward<T>(s, w.y + i * of_y(w), w.x[0] + i * w.stride[0], w.x[1] + i * w.stride[1],
                      w.theta + i * w.parameters + of_.offset, gate(w));
  }
  void backward(Stream &s, const StepWork<T> &w) override {
    hand_down<T>(s, w, w.dy, std::size_t(w.networks) * of_y(w));
    for (std::size_t i = 0; i < std::size_t(w.networks); ++i) {
      T *gradient = w.gradient + i * w.parameters + of_.offset;
      gate_backward<T>(s, gradient_of(w, 1) + i * of_y(w), scale_, w.dy + i * of_y(w), w.x[1] + i * w.stride[1],
                       w.theta + i * w.parameters + of_.offset, gate(w));
      add_scaled<T>(s, gradient, gradient, scale_, 1, std::size_t(of_.width));
    }
    hand_down<T>(s, w, gradient_of(w, 1), std::size_t(w.networks) * of_y(w), 1);
  }

private:
  Modulation gate(const StepWork<T> &w) const { return {1, w.rows * of_.rows, of_.width, std::size_t(of_.width)}; }
  std::size_t of_y(const StepWork<T> &w) const { return std::size_t(w.rows * of_.rows) * std::size_t(of_.width); }
  const ScaledSumOperation &of_;
  Tensor<T> scale_; // gradient of one network's
};

template <class T> class MeanStep;
class MeanOperation : public OperationWith<MeanOperation, MeanStep> {
public:
  MeanOperation(int width, std::vector<double> share)
      : tokens(int(share.size())), width(width), share(std::move(share)) {}
  void tie(Ties &ties) const override { ties.same(from[0], to); }
  int tokens, width;
  std::vector<double> share; // of each token
};

// A product with the row of shares, example by example.
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

const Start as_places_begin{.bound = 0.02 * 1.7320508075688772};

// Throws InputError where x is no row of tokens.
void check_tokens(const Program &p, Value x, const char *what) {
  if (p.shape(x).size() != 2 || x.number == 0)
    throw InputError("network: ", what, ": found ", text_of(p.shape(x)), ", expected tokens that an operation made");
}

} // namespace

Value attention(Program &p, Value x, int heads, bool causal) {
  check_tokens(p, x, "attention");
  const int tokens = int(p.shape(x)[0]), width = p.width(x) / 3;
  if (heads < 1 || p.width(x) % (3 * heads) != 0)
    throw InputError("network: attention: found ", heads, " heads of ", p.width(x),
                     " queries, keys and values, expected heads that divide them");
  return p.append(std::make_unique<AttentionOperation>(tokens, heads, width / heads, causal), {x}, {tokens, width});
}

Value rotary(Program &p, Value x, int heads) {
  check_tokens(p, x, "rotary places");
  if (heads < 1 || p.width(x) % (6 * heads) != 0)
    throw InputError("network: rotary places: found ", heads, " heads of ", p.width(x),
                     " queries, keys and values, expected heads that divide them, each of an even width");
  return p.append(std::make_unique<RotaryOperation>(int(p.shape(x)[0]), heads, p.width(x) / (3 * heads)), {x},
                  p.shape(x));
}

Value embedding(Program &p, const std::string &name, Value numbers, int vocabulary, int width, double deviation) {
  if (p.shape(numbers).size() != 1 || numbers.number != 0)
    throw InputError("network: embedding: found ", text_of(p.shape(numbers)), " as value ", numbers.number,
                     ", expected the numbers that are the input");
  const int tokens = p.width(numbers);
  const std::size_t tensor = p.tensor(name + ".weight", {vocabulary, width}, {.bound = deviation * 1.7320508075688772});
  return p.append(
      std::make_unique<EmbeddingOperation>(tensor, p.trained().places()[tensor].offset, tokens, vocabulary, width),
      {numbers}, {tokens, width});
}

Value scores_of_vocabulary(Program &p, Value x, Value embedded) {
  check_tokens(p, x, "scores of a vocabulary");
  const auto *of =
      embedded.number > 0
          ? dynamic_cast<const EmbeddingOperation *>(p.operations().at(std::size_t(embedded.number) - 1).get())
          : nullptr;
  if (!of || p.shape(x) != p.shape(embedded))
    throw InputError("network: scores of a vocabulary: found ", text_of(p.shape(x)), " and value ", embedded.number,
                     ", expected tokens as wide as what an embedding made");
  return p.append(std::make_unique<VocabularyOperation>(*of), {x}, {of->tokens, of->vocabulary});
}

Value positions(Program &p, const std::string &name, Value x, bool of_a_batch, int places) {
  check_tokens(p, x, "positions");
  Shape shape = p.shape(x);
  if (places != 0 && places < shape[0])
    throw InputError("network: positions: found ", places, ", expected one a token, ", shape[0]);
  if (places != 0)
    shape[0] = places;
  if (of_a_batch)
    shape.insert(shape.begin(), 1);
  const int axis = int(shape.size()) - 1;
  const std::size_t tensor = p.tensor(name, std::move(shape), as_places_begin);
  return p.append(
      std::make_unique<PositionsOperation>(tensor, p.trained().places()[tensor].offset, axis, int(p.elements(x))), {x},
      p.shape(x));
}

Value class_token(Program &p, const std::string &name, Value x) {
  check_tokens(p, x, "class token");
  const int tokens = int(p.shape(x)[0]), width = p.width(x);
  const std::size_t tensor = p.tensor(name, {1, 1, width}, as_places_begin);
  return p.append(std::make_unique<ClassTokenOperation>(tensor, p.trained().places()[tensor].offset, tokens, width),
                  {x}, {tokens + 1, width});
}

Value mean_of_tokens(Program &p, Value x) {
  check_tokens(p, x, "mean");
  const auto tokens = std::size_t(p.shape(x)[0]);
  return p.append(std::make_unique<MeanOperation>(p.width(x), std::vector<double>(tokens, 1.0 / double(tokens))), {x},
                  {p.width(x)});
}

Value first_token(Program &p, Value x) {
  check_tokens(p, x, "first token");
  std::vector<double> share(std::size_t(p.shape(x)[0]));
  share[0] = 1;
  return p.append(std::make_unique<MeanOperation>(p.width(x), std::move(share)), {x}, {p.width(x)});
}

Value scaled_add(Program &p, std::size_t scale, Value x, Value branch) {
  const TensorPlace &place = p.trained().places()[scale];
  const int width = p.width(x);
  if (p.shape(x) != p.shape(branch) || p.shape(x).size() > 2 || place.shape != Shape{width})
    throw InputError("network: ", place.name, " ", text_of(place.shape), ": found ", text_of(p.shape(x)), " and ",
                     text_of(p.shape(branch)), " to be added, expected vectors or tokens of one shape and width");
  return p.append(std::make_unique<ScaledSumOperation>(scale, place.offset, int(p.elements(x)) / width, width),
                  {x, branch}, p.shape(x));
}

Value tokens_of(Program &p, Value image) {
  const Shape of = p.shape(image);
  if (of.size() != 3)
    throw InputError("network: tokens: found ", text_of(of), ", expected an image: channels, height and width");
  return p.append(std::make_unique<TurnOperation>(int(of[0]), int(of[1] * of[2])), {image}, {of[1] * of[2], of[0]});
}

Value image_of(Program &p, Value tokens, int height) {
  check_tokens(p, tokens, "image");
  const Shape of = p.shape(tokens);
  if (height < 1 || of[0] % height != 0)
    throw InputError("network: image: found ", of[0], " tokens, expected rows of an image ", height, " high");
  return p.append(std::make_unique<TurnOperation>(int(of[0]), int(of[1])), {tokens}, {of[1], height, of[0] / height});
}

} // namespace theta
