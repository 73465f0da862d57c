#include "program.h"
#include "kind.h"
#include "step.h"
#include <algorithm>
#include <limits>
#include <numeric>

namespace theta {

std::unique_ptr<Step<float>> Operation::step(float) const { return nullptr; }
std::unique_ptr<Step<double>> Operation::step(double) const { return nullptr; }

Value Program::input(Shape of_an_example) {
  if (!shapes_.empty())
    throw Error("program: found another input, expected one, before all operations");
  shapes_.push_back(std::move(of_an_example));
  return {0};
}

Value Program::append(std::unique_ptr<Operation> operation, std::vector<Value> from, Shape of_an_example) {
  for (const std::int64_t size : of_an_example)
    check_width(int(size));
  operation->from = std::move(from), operation->to = {int(shapes_.size())};
  shapes_.push_back(std::move(of_an_example));
  operations_.push_back(std::move(operation));
  return operations_.back()->to;
}

std::size_t Program::tensor(std::string name, Shape shape, Start start) {
  trained_.add(std::move(name), std::move(shape), start);
  return trained_.places().size() - 1;
}

std::size_t Program::state(std::string name, Shape shape, double starts_as) {
  state_.add(std::move(name), std::move(shape), {.constant = starts_as});
  return state_.places().size() - 1;
}

Layout Program::layout() const {
  Layout all = trained_;
  for (std::size_t i = 0; i < state_.places().size(); ++i)
    all.add_state(state_.places()[i].name, state_.places()[i].shape, {.constant = state_.constant(i)});
  return all;
}

std::size_t Program::layer(const std::string &name, Shape weight, int in, int of_an_input, bool first, bool has_bias) {
  add_layer(trained_, name, std::move(weight), in, of_an_input, first, initialisation_, omega_, has_bias);
  return trained_.places().size() - (has_bias ? 2 : 1);
}

std::size_t Program::elements(Value v) const {
  const Shape &of = shape(v);
  return std::size_t(std::accumulate(of.begin(), of.end(), std::int64_t(1), std::multiplies<>()));
}

double Program::multiply_adds() const {
  double sum = 0;
  for (const auto &operation : operations_)
    sum += operation->multiply_adds();
  return sum;
}

double Program::step_flops(int batch) const {
  double sum = 0;
  for (const auto &operation : operations_) // nobody needs the gradient of the input
    sum += (operation->from[0].number > 0 ? 6.0 : 4.0) * operation->multiply_adds();
  return sum * batch;
}

std::vector<int> Program::chain(Activation act) const {
  std::vector<int> widths;
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    const auto layer = operations_[i]->in_chain();
    const bool is_last = i + 1 == operations_.size();
    if (!layer || operations_[i]->from[0].number != int(i) || layer->act != (is_last ? Activation::none : act))
      return {};
    if (i == 0)
      widths.push_back(layer->in);
    widths.push_back(layer->out);
  }
  return widths;
}

std::vector<std::vector<std::size_t>> Program::tensors_of_operations() const {
  std::vector<std::vector<std::size_t>> all;
  Ties ties(*this);
  for (const auto &operation : operations_) {
    const std::size_t before = ties.axes_.size();
    operation->tie(ties);
    all.emplace_back();
    for (std::size_t i = before; i < ties.axes_.size(); ++i)
      if (std::find(all.back().begin(), all.back().end(), ties.axes_[i].axis.tensor) == all.back().end())
        all.back().push_back(ties.axes_[i].axis.tensor);
  }
  return all;
}

bool is_chain(const Symmetries &groups, std::size_t tensors) {
  if (tensors != 2 * (groups.size() + 1))
    return false;
  for (std::size_t l = 0; l < groups.size(); ++l)
    for (const UnitAxis &axis : groups[l].axes)
      if (axis.tensor != 2 * l + (axis.role == UnitAxis::Role::incoming ? 0
                                  : axis.role == UnitAxis::Role::bias   ? 1
                                                                        : 2) ||
          axis.axis != (axis.role == UnitAxis::Role::outgoing))
        return false;
  return true;
}

Symmetries Program::symmetries() const {
  Ties ties(*this);
  std::vector<int> above(values(), 0), below(values(), std::numeric_limits<int>::max() / 2); // layers to either end
  for (const auto &operation : operations_) {
    operation->tie(ties);
    int least = std::numeric_limits<int>::max();
    for (const Value from : operation->from)
      least = std::min(least, above[std::size_t(from.number)]);
    above[std::size_t(operation->to.number)] = least + operation->is_layer();
  }
  below[std::size_t(result().number)] = 0;
  for (std::size_t i = operations_.size(); i-- > 0;)
    for (const Value from : operations_[i]->from) {
      int &of = below[std::size_t(from.number)];
      of = std::min(of, below[std::size_t(operations_[i]->to.number)] + operations_[i]->is_layer());
    }
  Symmetries groups;
  std::vector<int> group_of(values(), -1);
  const int input = ties.find(0), output = ties.find(result().number);
  for (const Ties::Along &along : ties.axes_) { // in the order in which operations name them
    const int of = ties.find(along.value);
    if (of == input || of == output)
      continue;
    int &group = group_of[std::size_t(of)];
    if (group < 0) {
      group = int(groups.size());
      const Shape &units = shape({of});
      groups.push_back({int(units.size() == 3 ? units[0] : units.back()) / ties.run_[std::size_t(of)], {}});
      groups.back().inputs = groups.back().outputs = std::numeric_limits<int>::max();
    }
    UnitAxis axis = along.axis;
    axis.run = ties.run_[std::size_t(along.value)];
    std::vector<UnitAxis> &axes = groups[std::size_t(group)].axes;
    if (std::none_of(axes.begin(), axes.end(), [&](const UnitAxis &there) { // weights that two operations share
          return there.tensor == axis.tensor && there.axis == axis.axis;
        }))
      axes.push_back(axis);
  }
  for (std::size_t v = 0; v < values(); ++v)
    if (const int group = group_of[std::size_t(ties.find(int(v)))]; group >= 0) {
      UnitGroup &of = groups[std::size_t(group)];
      of.inputs = std::min(of.inputs, above[v] - 1), of.outputs = std::min(of.outputs, below[v] - 1);
    }
  for (const int v : ties.pooled_)
    if (const int group = group_of[std::size_t(ties.find(v))]; group >= 0)
      groups[std::size_t(group)].pooled = true;
  for (const int v : ties.turned_)
    if (const int group = group_of[std::size_t(ties.find(v))]; group >= 0)
      groups[std::size_t(group)].turned = true;
  for (const auto &[v, units, run] : ties.runs_)
    if (const int group = group_of[std::size_t(ties.find(v))]; group >= 0) {
      groups[std::size_t(group)].units = units, groups[std::size_t(group)].head = run;
      for (UnitAxis &axis : groups[std::size_t(group)].axes)
        axis.run = run;
    }
  return groups;
}

Ties::Ties(const Program &program) : program_(program), parent_(program.values()), run_(program.values(), 1) {
  std::iota(parent_.begin(), parent_.end(), 0);
}

int Ties::find(int value) const {
  while (parent_[std::size_t(value)] != value)
    value = parent_[std::size_t(value)] = parent_[std::size_t(parent_[std::size_t(value)])];
  return value;
}

// The first of them speaks for all.
void Ties::same(Value a, Value b) {
  const int x = find(a.number), y = find(b.number);
  parent_[std::size_t(std::max(x, y))] = std::min(x, y);
  run_[std::size_t(b.number)] = run_[std::size_t(a.number)];
}

void Ties::flattened(Value flat, Value of, int run) {
  same(of, flat);
  run_[std::size_t(flat.number)] = run * run_[std::size_t(of.number)];
}

void Ties::along(Value v, UnitAxis::Role role, std::size_t tensor, int axis) {
  axes_.push_back({v.number, {role, tensor, axis}});
}

void Ties::along_state(Value v, std::size_t state) {
  along(v, UnitAxis::Role::bias, program_.trained().places().size() + state, 0);
}

void Ties::pooled(Value v) { pooled_.push_back(v.number); }
void Ties::turned(Value v) { turned_.push_back(v.number); }

void Ties::in_runs(Value a, Value b, int units, int run) {
  same(a, b);
  runs_.push_back({a.number, units, run});
}

} // namespace theta
