#include "subset.h"
#include "data/json.h"
#include "data/zoo_reader.h"
#include "kernels/operations/add.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/gemm.h"
#include "kind.h"
#include "layered_program.h"
#include <algorithm>
#include <cmath>
#include <fnmatch.h>

namespace theta {

namespace {

const SubsetSettings &settings_of(const NetworkShape &shape) {
  const auto *own = std::any_cast<SubsetSettings>(&shape.own);
  if (!own)
    throw Error("network: found no subset");
  return *own;
}

bool fits(const std::string &name, const std::string &pattern) {
  return fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
}

// Which tensors of the whole layout are the subset's.
std::vector<char> chosen_of(const Program &whole, const std::vector<std::string> &patterns) {
  const Layout layout = whole.layout();
  const auto &places = layout.places();
  std::vector<char> chosen(places.size());
  for (const std::string &pattern : patterns) {
    bool any = false;
    for (std::size_t t = 0; t < places.size() && places[t].offset < layout.trained(); ++t)
      if (fits(places[t].name, pattern))
        chosen[t] = any = true;
    if (!any)
      throw InputError("network.subset: found '", pattern, "', which no tensor of weights fits, expected one as '",
                       places.front().name, "'");
  }
  for (const auto &tensors : whole.tensors_of_operations())
    if (std::any_of(tensors.begin(), tensors.end(), [&](std::size_t t) { return chosen[t]; }))
      for (const std::size_t t : tensors)
        chosen[t] |= places[t].offset >= layout.trained();
  return chosen;
}

std::vector<Part> parts_of(const Program &whole, const std::vector<char> &chosen) {
  const auto tensors = whole.tensors_of_operations();
  std::vector<Part> parts;
  std::vector<char> depends(whole.values());
  for (std::size_t i = 0; i < whole.operations().size(); ++i) {
    const Operation &operation = *whole.operations()[i];
    const bool own = std::any_of(tensors[i].begin(), tensors[i].end(), [&](std::size_t t) { return chosen[t]; }),
               passed = std::any_of(operation.from.begin(), operation.from.end(),
                                    [&](Value v) { return depends[std::size_t(v.number)]; });
    parts.push_back(own ? Part::trained : passed ? Part::passed : Part::fixed);
    depends[std::size_t(operation.to.number)] = own || passed;
  }
  return parts;
}

// Whether a tensor that is chosen has a change in its place; the names of its factors.
bool is_changed(const TensorPlace &place, int low_rank) { return low_rank > 0 && place.shape.size() == 2; }
std::string factor(const std::string &name, char which) {
  const std::string stem = name.ends_with(".weight") ? name.substr(0, name.size() - 7) : name;
  return stem + ".lora_" + which + ".weight";
}

double bound_of_a(std::int64_t in) { return std::sqrt(3 / double(in)); } // a deviation of 1/√in

Layout subset_layout(const Program &whole, const std::vector<char> &chosen, int low_rank, bool fixed_a) {
  const Layout layout = whole.layout();
  Layout subset;
  for (std::size_t t = 0; t < layout.places().size(); ++t) {
    const TensorPlace &place = layout.places()[t];
    const Start start{layout.constant(t), layout.bound(t)};
    if (chosen[t] && place.offset < layout.trained() && is_changed(place, low_rank)) {
      if (!fixed_a)
        subset.add(factor(place.name, 'A'), {low_rank, place.shape[1]}, {.bound = bound_of_a(place.shape[1])});
      subset.add(factor(place.name, 'B'), {place.shape[0], low_rank}, {.bound = 0});
    } else if (chosen[t] && place.offset < layout.trained())
      subset.add(place.name, place.shape, start);
    else if (chosen[t])
      subset.add_state(place.name, place.shape, start);
  }
  return subset;
}

// The whole network of every row: the trunk, with the row's tensors in their places. In training all of them side by
// side; in inference one after another, on what is fixed.
template <class T> class SubsetNetworks : public LayeredNetworks<T> {
public:
  explicit SubsetNetworks(const NetworkShape &shape)
      : shape_(shape), layout_(layout_of(shape)), ranges_(ranges_of(shape)), changes_(changes_of(shape)),
        fixed_a_(fixed_factors(shape)), trunk_(settings_of(shape).trunk), program_(program_of(shape)) {}

  const NetworkShape &shape() const override { return shape_; }
  const Layout &layout() const override { return layout_; }
  double step_flops(int batch) const override { return program_.step_flops(batch); }
  void multiply_in(Arithmetic arithmetic) override { program_.multiply_in(arithmetic); }
  void move_state_of(T *theta, double momentum = 0.1) override { state_ = theta, momentum_ = momentum; }

  void plan(MemoryPlan &plan, bool training, int networks, int batch) override {
    training_ = training, networks_ = networks;
    const int wholes = training ? networks : 1;
    const std::int64_t v = std::int64_t(program_.layout().size());
    const char *hint = training ? "zoo.wave" : "eval.wave";
    if (!changes_.empty())
      frozen_ = plan.reserve<T>("subset.frozen", MemoryClass::weights, {v});
    if (!fixed_a_.empty())
      a_ = plan.reserve<T>("subset.fixed", MemoryClass::weights, {std::int64_t(fixed_a_.size())});
    whole_ = plan.reserve<T>("subset.whole", MemoryClass::weights, {wholes, v}, hint);
    if (training)
      gradient_ = plan.reserve<T>("subset.gradient", MemoryClass::gradients, {wholes, v}, hint);
    else
      out_ = plan.reserve<T>("subset.out", MemoryClass::activations, {networks, batch, outputs_of(shape_)}, hint);
    program_.plan(plan, training, wholes, batch);
    is_there_ = false;
  }

  T *forward(Stream &s, const T *theta, const T *x) override {
    lay_trunk(s);
    put(s, theta, networks_);
    program_.move_state_of(whole_, momentum_);
    T *out = program_.forward(s, whole_, x);
    for (const SubsetRange &range : ranges_) // the state that has moved
      if (training_ && state_ && range.subset >= layout_.trained())
        for (std::size_t i = 0; i < std::size_t(networks_); ++i)
          copy(s, state_ + i * layout_.size() + range.subset, whole_ + i * program_.layout().size() + range.whole,
               range.count * sizeof(T));
    return out;
  }
  void backward(Stream &s, const T *theta, T *gradient, const T *d_out, const T *x) override {
    const std::size_t v = program_.layout().size();
    fill_zero(s, gradient_, std::size_t(networks_) * v * sizeof(T));
    program_.backward(s, whole_, gradient_, d_out, x);
    for (const SubsetRange &range : ranges_)
      for (std::size_t i = 0; range.subset < layout_.trained() && i < std::size_t(networks_); ++i) {
        T *to = gradient + i * layout_.size() + range.subset;
        add_scaled<T>(s, to, to, gradient_ + i * v + range.whole, 1, range.count);
      }
    for (const SubsetChange &c : changes_) { // dA += Bᵀ·dW, dB += dW·Aᵀ
      const T *d = gradient_ + c.whole;
      if (!a_)
        gemm<T>(s, gradient + c.a, theta + c.b, d,
                {.m = c.rank,
                 .n = c.in,
                 .k = c.out,
                 .transpose_a = true,
                 .accumulate = true,
                 .batch = networks_,
                 .stride_a = layout_.size(),
                 .stride_b = v,
                 .stride_c = layout_.size()});
      gemm<T>(s, gradient + c.b, d, (a_ ? a_.get() : theta) + c.a,
              {.m = c.out,
               .n = c.rank,
               .k = c.in,
               .transpose_b = true,
               .accumulate = true,
               .batch = networks_,
               .stride_a = v,
               .stride_b = a_ ? 0 : layout_.size(),
               .stride_c = layout_.size()});
    }
  }
  T *infer(Stream &s, const T *theta, const T *x, int networks, int rows) override {
    lay_trunk(s);
    program_.infer_fixed(s, whole_, x, 1, rows);
    const std::size_t n = std::size_t(rows) * std::size_t(outputs_of(shape_));
    for (std::size_t i = 0; i < std::size_t(networks); ++i) {
      put(s, theta + i * layout_.size(), 1);
      copy(s, out_ + i * n, program_.infer_rest(s, whole_, x, 1, rows), n * sizeof(T));
    }
    return out_;
  }

private:
  static LayeredProgram<T> program_of(const NetworkShape &shape) {
    const auto &own = settings_of(shape);
    Program whole = own.whole.kind->program(own.whole);
    auto parts = parts_of(whole, chosen_of(whole, own.tensors));
    return {own.whole, std::move(whole), std::move(parts)};
  }

  // From its zoo, once.
  void lay_trunk(Stream &s) {
    if (is_there_)
      return;
    if (trunk_.empty())
      throw InputError("network: found ", ranges_.size(),
                       " tensors of a network, expected the trunk that they belong to: "
                       "it is in the folder of the zoo that was trained");
    const ZooReader zoo(trunk_);
    const std::size_t v = program_.layout().size();
    if (zoo.parameters() != v || zoo.rows() == 0)
      throw InputError(trunk_.string(), ": found ", zoo.rows(), " networks of ", zoo.parameters(),
                       " parameters, expected one of ", v);
    std::vector<float> read(v);
    zoo.theta(0, read.data());
    const std::vector<T> values(read.begin(), read.end());
    if (frozen_)
      copy(s, frozen_, values.data(), v * sizeof(T));
    const std::vector<T> fixed(fixed_a_.begin(), fixed_a_.end());
    if (a_)
      copy(s, a_, fixed.data(), fixed.size() * sizeof(T));
    for (std::size_t i = 0; i < (training_ ? std::size_t(networks_) : 1); ++i)
      copy(s, whole_ + i * v, values.data(), v * sizeof(T));
    s.synchronize();
    is_there_ = true;
  }
  void put(Stream &s, const T *theta, int networks) {
    for (std::size_t i = 0; i < std::size_t(networks); ++i)
      for (const SubsetRange &range : ranges_)
        copy(s, whole_ + i * program_.layout().size() + range.whole, theta + i * layout_.size() + range.subset,
             range.count * sizeof(T));
    const std::size_t v = program_.layout().size();
    for (const SubsetChange &c : changes_) { // W + B·A
      copy_rows<T>(s, whole_ + c.whole, v, frozen_ + c.whole, 0, networks, std::size_t(c.out) * std::size_t(c.in));
      gemm<T>(s, whole_ + c.whole, theta + c.b, (a_ ? a_.get() : theta) + c.a,
              {.m = c.out,
               .n = c.in,
               .k = c.rank,
               .accumulate = true,
               .batch = networks,
               .stride_a = layout_.size(),
               .stride_b = a_ ? 0 : layout_.size(),
               .stride_c = v});
    }
  }

  NetworkShape shape_;
  Layout layout_;
  std::vector<SubsetRange> ranges_;
  std::vector<SubsetChange> changes_;
  std::vector<float> fixed_a_;
  std::filesystem::path trunk_;
  LayeredProgram<T> program_; // of whole networks
  bool training_ = false, is_there_ = false;
  int networks_ = 0;
  T *state_ = nullptr;
  double momentum_ = 0.1;
  Tensor<T> whole_, gradient_, out_; // [networks or 1, V], [networks, V], [networks, batch, outputs]
  Tensor<T> frozen_, a_;             // [V], where matrices change; of all of these, where it is fixed
};

class SubsetKind : public NetworkKind {
public:
  const char *name() const override { return "subset"; }
  const char *learns(const NetworkShape &shape) const override {
    const NetworkShape &whole = settings_of(shape).whole;
    return whole.kind->learns(whole);
  }
  Program program(const NetworkShape &shape) const override { return whole_program(shape); }
  Layout layout(const NetworkShape &shape) const override {
    const Program whole = whole_program(shape);
    return subset_layout(whole, chosen_of(whole, settings_of(shape).tensors), settings_of(shape).low_rank,
                         settings_of(shape).fixed_a);
  }
  int inputs(const NetworkShape &shape) const override { return inputs_of(settings_of(shape).whole); }
  int outputs(const NetworkShape &shape) const override { return outputs_of(settings_of(shape).whole); }
  void check_fits(const NetworkShape &shape, const DatasetSizes &sizes) const override {
    theta::check_fits(settings_of(shape).whole, sizes);
  }
  void for_hidden_widths(NetworkShape &shape, const std::function<void(int &)> &f) const override {
    NetworkShape &whole = whole_of(shape);
    whole.kind->for_hidden_widths(whole, f);
    shape.widths = whole.widths;
  }
  // Groups that lie in the subset with all of their axes: others are bound to the trunk, as changes are.
  Symmetries symmetries(const NetworkShape &shape) const override {
    if (settings_of(shape).low_rank > 0)
      return {};
    const Program whole = whole_program(shape);
    const auto chosen = chosen_of(whole, settings_of(shape).tensors);
    std::vector<std::size_t> index(chosen.size());
    for (std::size_t t = 1; t < chosen.size(); ++t)
      index[t] = index[t - 1] + std::size_t(chosen[t - 1]);
    Symmetries groups = whole.symmetries();
    std::erase_if(groups, [&](const UnitGroup &group) {
      return !std::all_of(group.axes.begin(), group.axes.end(),
                          [&](const UnitAxis &axis) { return chosen[axis.tensor]; });
    });
    for (UnitGroup &group : groups)
      for (UnitAxis &axis : group.axes)
        axis.tensor = index[axis.tensor];
    return groups;
  }
  std::shared_ptr<const WholeRuns> whole_runs(const NetworkShape &, int) const override { return nullptr; }
  std::shared_ptr<LayeredNetworks<float>> layered(const NetworkShape &shape) const override {
    return std::make_shared<SubsetNetworks<float>>(shape);
  }
  std::shared_ptr<LayeredNetworks<double>> layered_exactly(const NetworkShape &) const override { return nullptr; }
  void write(Json &to, const NetworkShape &shape) const override {
    to["of"] = parse_json(architecture_of(settings_of(shape).whole), "architecture");
    to["tensors"] = settings_of(shape).tensors;
    if (settings_of(shape).low_rank > 0)
      to["low_rank"] = settings_of(shape).low_rank, to["fixed_a"] = settings_of(shape).fixed_a;
  }
  void read(const Json &from, NetworkShape &shape) const override {
    auto whole = network_from(from.at("of").dump(), "a subset");
    if (!whole)
      throw InputError("architecture: found a subset of networks that are not known");
    shape = subset_of(*whole, from.at("tensors").get<std::vector<std::string>>(), from.value("low_rank", 0),
                      from.value("fixed_a", false));
  }

private:
  static Program whole_program(const NetworkShape &shape) {
    const NetworkShape &whole = settings_of(shape).whole;
    return whole.kind->program(whole);
  }
};

} // namespace

NetworkShape subset_of(NetworkShape whole, std::vector<std::string> tensors, int low_rank, bool fixed_a) {
  if (std::string_view(whole.kind->learns(whole)) == "signals")
    throw InputError("network.subset: found networks of kind ", whole.kind->name(),
                     ", expected classifiers or language models");
  const Program program = whole.kind->program(whole);
  const auto chosen = chosen_of(program, tensors);
  const Layout layout = program.layout();
  std::size_t changed = 0;
  for (std::size_t t = 0; t < chosen.size(); ++t)
    if (const TensorPlace &place = layout.places()[t]; chosen[t] && is_changed(place, low_rank)) {
      ++changed;
      if (std::int64_t(low_rank) * (place.shape[0] + place.shape[1]) > place.shape[0] * place.shape[1])
        throw InputError("network.low_rank: found ", low_rank, ", which has more numbers than ", place.name, " ",
                         theta::text_of(place.shape), ", expected a lower one");
    }
  if (low_rank > 0 && changed == 0)
    throw InputError("network.low_rank: found ", low_rank, ", and no matrix among the tensors of network.subset");
  NetworkShape shape = whole;
  shape.kind = network_kind_named("subset");
  shape.own = SubsetSettings{std::move(whole), std::move(tensors), low_rank, fixed_a};
  return shape;
}

bool is_subset(const NetworkShape &shape) { return std::any_cast<SubsetSettings>(&shape.own) != nullptr; }

bool is_low_rank(const NetworkShape &shape) { return is_subset(shape) && settings_of(shape).low_rank > 0; }

bool has_trunk(const NetworkShape &shape) { return is_subset(shape) && !settings_of(shape).trunk.empty(); }

NetworkShape &whole_of(NetworkShape &shape) {
  auto *own = std::any_cast<SubsetSettings>(&shape.own);
  return own ? own->whole : shape;
}

std::vector<SubsetRange> ranges_of(const NetworkShape &subset) {
  const Layout of = layout_of(subset), whole = layout_of(settings_of(subset).whole);
  std::vector<SubsetRange> ranges;
  for (const TensorPlace &place : of.places())
    if (const auto found = std::find_if(whole.places().begin(), whole.places().end(),
                                        [&](const TensorPlace &one) { return one.name == place.name; });
        found != whole.places().end())
      ranges.push_back({found->offset, place.offset, elements_of(place)});
  return ranges;
}

std::vector<SubsetChange> changes_of(const NetworkShape &subset) {
  const SubsetSettings &own = settings_of(subset);
  const Program program = own.whole.kind->program(own.whole);
  const auto chosen = chosen_of(program, own.tensors);
  const Layout of = layout_of(subset), whole = program.layout();
  std::vector<SubsetChange> changes;
  std::size_t fixed = 0; // of all that come before
  for (std::size_t t = 0; t < chosen.size(); ++t)
    if (const TensorPlace &place = whole.places()[t];
        chosen[t] && place.offset < whole.trained() && is_changed(place, own.low_rank)) {
      changes.push_back({place.offset, own.fixed_a ? fixed : of[factor(place.name, 'A')].offset,
                         of[factor(place.name, 'B')].offset, int(place.shape[0]), int(place.shape[1]), own.low_rank});
      fixed += std::size_t(own.low_rank) * std::size_t(place.shape[1]);
    }
  return changes;
}

// Of no seed but their own: rows mean the same in every zoo.
std::vector<float> fixed_factors(const NetworkShape &subset) {
  std::vector<float> all;
  if (!settings_of(subset).fixed_a)
    return all;
  for (const SubsetChange &c : changes_of(subset))
    for (int i = 0; i < c.rank * c.in; ++i)
      all.push_back(
          float(bound_of_a(c.in)) *
          (2 * uniform01(philox(0, Purpose::initialisation, 0, (std::uint64_t(1) << 41) + all.size()).word[0]) - 1));
  return all;
}

void add_changes(const NetworkShape &subset, const float *row, float *whole) {
  const auto fixed = fixed_factors(subset);
  for (const SubsetChange &c : changes_of(subset))
    for (std::size_t o = 0; o < std::size_t(c.out); ++o)
      for (std::size_t r = 0; r < std::size_t(c.rank); ++r) {
        const float b = row[c.b + o * std::size_t(c.rank) + r];
        const float *a = (fixed.empty() ? row : fixed.data()) + c.a + r * std::size_t(c.in);
        float *to = whole + c.whole + o * std::size_t(c.in);
        for (std::size_t i = 0; i < std::size_t(c.in); ++i)
          to[i] += b * a[i];
      }
}

std::vector<float> row_of_trunk(const NetworkShape &subset) {
  std::vector<float> row(layout_of(subset).size());
  const auto ranges = ranges_of(subset);
  if (ranges.empty())
    return row;
  const ZooReader trunk(settings_of(subset).trunk);
  std::vector<float> whole(trunk.parameters());
  trunk.theta(0, whole.data());
  for (const SubsetRange &range : ranges)
    std::copy_n(whole.begin() + std::ptrdiff_t(range.whole), range.count, row.begin() + std::ptrdiff_t(range.subset));
  return row;
}

NetworkShape on_trunk_of(NetworkShape shape, const std::filesystem::path &zoo) {
  if (auto *own = std::any_cast<SubsetSettings>(&shape.own))
    own->trunk = zoo / trunk_folder;
  return shape;
}

std::unique_ptr<const NetworkKind> make_subset_kind() { return std::make_unique<SubsetKind>(); }

} // namespace theta
