// A kind of networks: what a room of this folder says of the networks that it makes. To add one: a class in a file of
// its own, and its line in kinds() (kind.cpp), or, outside of this folder, the line
//   const bool added = theta::add_network_kind(std::make_unique<MyKind>());
#pragma once
#include "data/json_forward.h"
#include "engine/settings/keys.h"
#include "layered.h"
#include "network.h"
#include "operations.h"
#include "recognition.h"
#include "symmetries.h"
#include "whole_runs.h"
#include <functional>

namespace theta {

class NetworkKind {
public:
  virtual ~NetworkKind() = default;
  virtual const char *name() const = 0; // in configurations and files

  // What the networks learn (engine/zoo/learning.h): "labels", the same images all, "signals", one each, or
  // "text", a mixture each.
  virtual const char *learns(const NetworkShape &) const { return "labels"; }
  // Whether the weights are the signal's values themselves, at its own points and nowhere else.
  virtual bool is_signal() const { return false; }

  // The keys of [network] that are the kind's own, of NetworkShape::own. Throws InputError for what cannot be.
  virtual void describe(Keys &, NetworkShape &) const {}
  // Those of a table of its own, [network.NAME], which there is where networks are of the kind.
  virtual void describe_table(Keys &, NetworkShape &) const {}
  // Throws InputError where one of the first is set: another kind was wanted.
  virtual void check_unused(const NetworkShape &) const {}
  // Where networks have a place for every pixel, it takes the images' side and channels.
  virtual void look_at(NetworkShape &, const std::function<ImageFormat()> &) const {}
  // f(width) for what makes networks wider.
  virtual void for_hidden_widths(NetworkShape &, const std::function<void(int &)> &f) const;

  // What the networks compute. Throws InputError for a shape that cannot be. What follows is of the program, unless a
  // kind knows better.
  virtual Program program(const NetworkShape &) const;

  // Of a shape of this kind: what network.h says of them.
  virtual Layout layout(const NetworkShape &shape) const { return program(shape).layout(); }
  virtual int inputs(const NetworkShape &) const;
  virtual int outputs(const NetworkShape &) const;
  virtual void check_fits(const NetworkShape &, const DatasetSizes &) const;
  virtual Symmetries symmetries(const NetworkShape &shape) const { return program(shape).symmetries(); }

  // Who trains and scores them. Whole runs: none where the shape is beyond the operation and the kind has another way;
  // InputError where it has none. Layer by layer: none where the kind does not go so.
  virtual std::shared_ptr<const WholeRuns> whole_runs(const NetworkShape &, int batch) const;
  virtual std::shared_ptr<LayeredNetworks<float>> layered(const NetworkShape &) const;
  // The same in double, on the cpu.
  virtual std::shared_ptr<LayeredNetworks<double>> layered_exactly(const NetworkShape &) const;

  // What files tell of a shape beside kind, widths and activation; read() may throw Json::exception.
  virtual void write(Json &, const NetworkShape &) const {}
  virtual void read(const Json &, NetworkShape &) const {}
  // The networks with such tensors, if they are of this kind and tensors tell; else perhaps why not.
  virtual std::optional<Recognised> recognise(const std::vector<TensorShape> &, std::string &why) const;
};

using NetworkKinds = std::vector<std::unique_ptr<const NetworkKind>>;
const NetworkKinds &network_kinds();
bool add_network_kind(std::unique_ptr<const NetworkKind>); // true

// Made by their rooms: perceptrons that classify, perceptrons of coordinates, convolutional classifiers, signals as
// they are; residual networks, vision transformers, ConvNeXt; language models; some tensors of one of these; their codes.
std::unique_ptr<const NetworkKind> make_mlp_kind(), make_field_kind(), make_cnn_kind(), make_pixel_kind(),
    make_resnet_kind(), make_vit_kind(), make_convnext_kind(), make_gpt_kind(), make_subset_kind(), make_coded_kind();

// Of `out` outputs with `in` weights each, an input having `of_an_input` weights: NAME.weight, and NAME.bias where it
// has one.
void add_layer(Layout &, const std::string &name, Shape weight_shape, int in, int of_an_input, bool first,
               Initialisation, double omega = usual_omega, bool has_bias = true);
void check_width(int width); // throws InputError below 1

// Settings that have a side and channels get those of the images.
template <class S> void take_format(NetworkShape &shape, const ImageFormat &format) {
  auto &own = shape.as<S>();
  own.side = format.side, own.channels = format.channels;
}

} // namespace theta
