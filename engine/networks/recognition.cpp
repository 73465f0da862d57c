#include "recognition.h"
#include "kind.h"
#include <algorithm>
#include <numeric>
#include <tuple>

namespace theta {

namespace {

// "layers.10.weight" after "layers.2.weight", "fc10" after "fc2".
using NameOrder = std::vector<std::tuple<int, std::size_t, std::string>>;
NameOrder order_of(const std::string &name) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  NameOrder order;
  for (std::size_t at = 0; at < name.size();) {
    if (name[at] == '.') {
      ++at;
      continue;
    }
    const bool digits = is_digit(name[at]);
    std::size_t end = at;
    while (end < name.size() && name[end] != '.' && is_digit(name[end]) == digits && end - at < 9)
      ++end;
    const std::string piece = name.substr(at, end - at);
    if (digits)
      order.emplace_back(0, std::stoul(piece), "");
    else
      order.emplace_back(piece == "weight" ? 1 : piece == "bias" ? 2 : 3, 0, piece);
    at = end;
  }
  return order;
}

std::string shown(const TensorShape &t) { return "'" + t.name + "' " + text_of(t.shape); }

struct Layer {
  std::size_t weight, bias;
};

// Layers by the names before the last dot; or, where names tell nothing, the i-th matrix with the i-th vector.
std::optional<std::vector<Layer>> layers_of(const std::vector<TensorShape> &t, const std::vector<std::size_t> &order,
                                            std::string &why) {
  std::vector<std::size_t> matrices, vectors;
  for (const std::size_t i : order) {
    if (t[i].shape.size() != 2 && t[i].shape.size() != 1) {
      why = shown(t[i]) + " is neither the weight [out, in] nor the bias [out] of a layer";
      return {};
    }
    (t[i].shape.size() == 2 ? matrices : vectors).push_back(i);
  }
  const auto module = [&](std::size_t i) { return t[i].name.substr(0, t[i].name.rfind('.') + 1); };
  std::vector<Layer> layers;
  for (std::size_t k = 0; k < matrices.size(); ++k) {
    const std::size_t weight = matrices[k];
    auto bias = std::find_if(vectors.begin(), vectors.end(),
                             [&](std::size_t i) { return !module(i).empty() && module(i) == module(weight); });
    if (bias == vectors.end() && matrices.size() == vectors.size())
      bias = vectors.begin() + std::ptrdiff_t(k);
    if (bias == vectors.end() || t[*bias].shape[0] != t[weight].shape[0]) {
      why = shown(t[weight]) + " has no bias of " + std::to_string(t[weight].shape[0]);
      return {};
    }
    layers.push_back({weight, *bias});
  }
  if (layers.empty() || layers.size() != vectors.size()) {
    why = layers.empty() ? "there is no weight [out, in]"
                         : "there are " + std::to_string(matrices.size()) + " matrices and " +
                               std::to_string(vectors.size()) + " vectors";
    return {};
  }
  return layers;
}

// Where the chain of layers breaks, or its length.
std::size_t chained(const std::vector<TensorShape> &t, const std::vector<Layer> &layers) {
  for (std::size_t l = 0; l + 1 < layers.size(); ++l)
    if (t[layers[l].weight].shape[0] != t[layers[l + 1].weight].shape[1])
      return l + 1;
  return layers.size();
}

// The one order in which every layer takes what the one before gives, if sizes leave only one.
bool only_chain(const std::vector<TensorShape> &t, std::vector<Layer> &layers) {
  std::vector<Layer> left = layers, chain;
  const auto takes = [&](const Layer &l, std::int64_t n) { return t[l.weight].shape[1] == n; };
  const auto first = std::find_if(left.begin(), left.end(), [&](const Layer &l) {
    return std::none_of(left.begin(), left.end(), [&](const Layer &other) {
      return other.weight != l.weight && t[other.weight].shape[0] == t[l.weight].shape[1];
    });
  });
  if (first == left.end())
    return false;
  chain.push_back(*first), left.erase(first);
  while (!left.empty()) {
    const std::int64_t gives = t[chain.back().weight].shape[0];
    const auto next = std::find_if(left.begin(), left.end(), [&](const Layer &l) { return takes(l, gives); });
    if (next == left.end() || std::any_of(next + 1, left.end(), [&](const Layer &l) { return takes(l, gives); }))
      return false;
    chain.push_back(*next), left.erase(next);
  }
  layers = std::move(chain);
  return true;
}

} // namespace

std::vector<std::size_t> order_of_names(const std::vector<TensorShape> &tensors) {
  std::vector<NameOrder> orders;
  for (const TensorShape &t : tensors)
    orders.push_back(order_of(t.name));
  std::vector<std::size_t> index(tensors.size());
  std::iota(index.begin(), index.end(), std::size_t(0));
  std::stable_sort(index.begin(), index.end(), [&](std::size_t a, std::size_t b) { return orders[a] < orders[b]; });
  return index;
}

std::optional<std::vector<std::size_t>> chain_of_layers(const std::vector<TensorShape> &tensors, std::string &why) {
  std::vector<std::size_t> in_file(tensors.size());
  std::iota(in_file.begin(), in_file.end(), std::size_t(0));
  const auto flat = [](const std::vector<Layer> &layers) {
    std::vector<std::size_t> order;
    for (const Layer &l : layers)
      order.insert(order.end(), {l.weight, l.bias});
    return order;
  };
  const auto by_name = order_of_names(tensors);
  auto layers = layers_of(tensors, by_name, why);
  if (!layers)
    return {};
  const std::size_t breaks = chained(tensors, *layers);
  if (breaks == layers->size())
    return flat(*layers);
  why = shown(tensors[(*layers)[breaks].weight]) + " does not take the " +
        std::to_string(tensors[(*layers)[breaks - 1].weight].shape[0]) + " numbers that " +
        shown(tensors[(*layers)[breaks - 1].weight]) + " gives";
  std::string unused;
  if (const auto as_written = layers_of(tensors, in_file, unused);
      as_written && chained(tensors, *as_written) == as_written->size())
    return flat(*as_written);
  if (only_chain(tensors, *layers))
    return flat(*layers);
  return {};
}

std::optional<std::vector<std::size_t>> matched(const NetworkShape &shape, const std::vector<TensorShape> &tensors,
                                                std::string &why) {
  const Layout layout = layout_of(shape);
  const auto &places = layout.places();
  std::vector<std::size_t> in_file(tensors.size());
  std::iota(in_file.begin(), in_file.end(), std::size_t(0));
  if (tensors.size() != places.size()) {
    why = text("found ", tensors.size(), " tensors, expected ", places.size());
    return {};
  }
  std::vector<std::size_t> named; // by what they are called
  for (const TensorPlace &place : places)
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (tensors[i].name == place.name && tensors[i].shape == place.shape)
        named.push_back(i);
  if (named.size() == places.size())
    return named;
  for (const auto &order : {order_of_names(tensors), in_file}) {
    std::size_t i = 0;
    while (i < places.size() && tensors[order[i]].shape == places[i].shape)
      ++i;
    if (i == places.size())
      return order;
    if (why.empty())
      why = text("found ", shown(tensors[order[i]]), ", expected '", places[i].name, "' ", text_of(places[i].shape));
  }
  std::vector<std::size_t> order;
  for (const TensorPlace &place : places) {
    const auto fits = [&](const TensorShape &t) { return t.shape == place.shape; };
    if (std::count_if(tensors.begin(), tensors.end(), fits) != 1)
      return {};
    order.push_back(std::size_t(std::find_if(tensors.begin(), tensors.end(), fits) - tensors.begin()));
  }
  return order;
}

TensorsByName::TensorsByName(const std::vector<TensorShape> &tensors, const std::string &one) : tensors_(tensors) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto &t) { return t.name.ends_with(one); });
  if (found == tensors.end())
    return;
  const std::string before = found->name.substr(0, found->name.size() - one.size());
  for (TensorShape &t : tensors_)
    if (t.name.starts_with(before))
      t.name.erase(0, before.size());
}

const Shape *TensorsByName::find(const std::string &name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const auto &t) { return t.name == name; });
  return found == tensors_.end() ? nullptr : &found->shape;
}

std::optional<Recognised> TensorsByName::recognised_as(const NetworkShape &shape, std::string &why) const {
  why.clear();
  auto order = matched(shape, tensors_, why);
  return order ? std::optional(Recognised{shape, std::move(*order), true}) : std::nullopt;
}

std::optional<Recognised> recognised(const std::vector<TensorShape> &tensors, std::string &why) {
  for (const auto &kind : network_kinds())
    if (auto found = kind->recognise(tensors, why))
      return found;
  return {};
}

bool same_shapes(const std::vector<TensorPlace> &a, const std::vector<TensorPlace> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const TensorPlace &x, const TensorPlace &y) {
    return x.shape == y.shape && x.offset == y.offset;
  });
}

} // namespace theta
