// What networks of a kind compute, said in a page: values and operations in order, with the names of their tensors.
// Everything else follows from it: layout and initial values, symmetries, depths, FLOPs, plans, forward and backward of
// many networks side by side (layered_program.h). No tape: every operation has its own backward, and the program is
// walked backwards.
//
//   Program p("residual", shape);
//   Value x = linear(p, "stem", p.input({shape.widths.front()}), width);
//   x = add(p, x, linear(p, "fc2", linear(p, "fc1", layer_norm(p, "norm", x), hidden, shape.act), width));
//   linear(p, "head", x, shape.widths.back());
// The last value is the result.
#pragma once
#include "network.h"
#include "symmetries.h"
#include <memory>

namespace theta {

// A value of a program, by its number: 0 is the input.
struct Value {
  int number = -1;
};

template <class T> class Step;
class Ties;

// A linear layer with its activation, as the operations of whole runs take it.
struct ChainLayer {
  int in, out;
  Activation act;
};

// What makes one value of one or two. Shapes are of one example, its units (features, channels) last in a vector or a
// row of tokens, [tokens, width], and first in an image, [channels, side, side].
class Operation {
public:
  virtual ~Operation() = default;
  // How axes of units pass through it, and which axes of its tensors lie along them.
  virtual void tie(Ties &) const = 0;
  // Multiply-adds of one example; 0 where nothing is multiplied by weights.
  virtual double multiply_adds() const { return 0; }
  // Whether it is a layer: what it makes is one step deeper.
  virtual bool is_layer() const { return multiply_adds() > 0; }
  // Where it is a linear layer of vectors.
  virtual std::optional<ChainLayer> in_chain() const { return {}; }
  // Its work on the devices; null where it has none, and networks with it go as whole runs alone.
  virtual std::unique_ptr<Step<float>> step(float) const;
  virtual std::unique_ptr<Step<double>> step(double) const;

  std::vector<Value> from; // values
  Value to;
};

class Program {
public:
  // `name` stands before those of its tensors in memory plans. The shape gives the initialisation; omega: of sine.
  Program(std::string name, const NetworkShape &shape, double omega = usual_omega)
      : name_(std::move(name)), initialisation_(shape.initialisation), omega_(omega) {}

  Value input(Shape of_an_example); // once, and first
  // Appends an operation on `from` whose value has such a shape.
  Value append(std::unique_ptr<Operation>, std::vector<Value> from, Shape of_an_example);
  // Appends a tensor of weights; returns its index among them. A layer's begin as the shape says (add_layer).
  std::size_t tensor(std::string name, Shape shape, Start start);
  std::size_t layer(const std::string &name, Shape weight, int in, int of_an_input, bool first, bool has_bias = true);
  // A tensor that is not trained but comes about in training; its index there. State stands behind all weights.
  std::size_t state(std::string name, Shape shape, double starts_as);

  const std::string &name() const { return name_; }
  double omega() const { return omega_; }
  const Layout &trained() const { return trained_; } // the weights
  const Layout &state() const { return state_; }
  Layout layout() const; // weights, then state
  const std::vector<std::unique_ptr<const Operation>> &operations() const { return operations_; }
  const Shape &shape(Value v) const { return shapes_.at(std::size_t(v.number)); }
  std::size_t elements(Value) const; // of one example
  int width(Value v) const { return int(shape(v).back()); }
  std::size_t values() const { return shapes_.size(); }
  Value result() const { return {int(shapes_.size()) - 1}; }

  // Indices in layout() of what each operation reads, in its order.
  std::vector<std::vector<std::size_t>> tensors_of_operations() const;

  Symmetries symmetries() const;      // from the inputs to the outputs, with true depths
  double multiply_adds() const;       // of one example, forward
  double step_flops(int batch) const; // forward, and the gradients of weights and of layers' inputs
  // The widths of a perceptron: linear layers one after another, with one activation between them; else none.
  std::vector<int> chain(Activation) const;

private:
  std::string name_;
  Initialisation initialisation_;
  double omega_;
  Layout trained_, state_;
  std::vector<Shape> shapes_; // of values
  std::vector<std::unique_ptr<const Operation>> operations_;
};

// Which values' units are the same, and along which axes they lie. An operation says it of its own.
class Ties {
public:
  explicit Ties(const Program &);
  void same(Value a, Value b); // unit u of one is unit u of the other
  // Every unit of `flat` is `run` neighbours long where `of` has one: an image laid flat.
  void flattened(Value flat, Value of, int run);
  void along(Value v, UnitAxis::Role role, std::size_t tensor, int axis); // units lie along it
  void along_state(Value v, std::size_t state);                           // the one axis of a tensor of state
  void pooled(Value v);                                                   // by their maximum
  void turned(Value v);                                                   // UnitGroup::turned
  // Only `units` runs of `run` neighbours may change places in either, and they do so together: heads.
  void in_runs(Value a, Value b, int units, int run);

private:
  friend class Program;
  int find(int value) const;
  const Program &program_;
  mutable std::vector<int> parent_; // of values
  std::vector<int> run_;            // of values
  struct Along {
    int value;
    UnitAxis axis;
  };
  std::vector<Along> axes_;
  std::vector<int> pooled_, turned_;
  struct Runs {
    int value, units, run;
  };
  std::vector<Runs> runs_;
};

} // namespace theta
