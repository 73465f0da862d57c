// What networks learn from: labelled images, gray or in colour, in three parts: train, validation (the last of the
// training images) and test; or solids and meshes, as the signals of fields; or text.
#pragma once
#include "text.h"
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace theta {

struct Images {
  std::vector<std::uint8_t> pixels; // [size(), channels, side, side]
  std::vector<std::uint8_t> labels; // [size()]
  std::size_t size() const { return labels.size(); }
};

struct Dataset {
  std::string name;
  int side = 0, classes = 0, channels = 1;
  Images train, validation, test;
  double mean = 0, std = 1; // of the training pixels, on the scale 0..1
  std::string fingerprint;  // xxh3 of all pixels and labels

  // Solids and meshes: [pixels(), 3], where their bytes were taken.
  std::vector<float> points;

  TextParts text; // where it is text, and nothing of the above

  std::size_t skipped = 0; // image files that could not be read, and why the first
  std::string first_skipped;

  int dimensions() const { return !text.classes.empty() ? 1 : points.empty() ? 2 : 3; }
  int pixels() const { return points.empty() ? side * side : int(points.size() / 3); } // places, whatever is there
  int values() const { return pixels() * channels; }                                   // bytes of an example
  // Where each pixel (or point) lies, [pixels(), dimensions()], in −1..1: x first, then y (downwards), then z.
  std::vector<float> coordinates() const;
  // x = byte·scale() + shift() has mean 0 and standard deviation 1 over the training part.
  double scale() const { return 1 / (255 * std); }
  double shift() const { return -mean / std; }
};

struct DatasetSizes {
  std::size_t train, validation, test; // images; signals; characters
  int pixels, classes, dimensions = 2, channels = 1;
  int vocabulary = 0;               // of text: characters that differ
  std::vector<std::string> names{}; // of its classes
  int values() const { return pixels * channels; }
};
DatasetSizes sizes_of(const Dataset &);

// Which data to load, and how.
struct DatasetOptions {
  std::string name = "fashion-mnist"; // or idx, cifar10, cifar100, images, solids, meshes, text
  int pool = 1;                       // 2 averages 2x2 pixels to one (28x28 -> 14x14)
  std::size_t validation = 5000;      // the last so many images of the training file are kept from training
  std::vector<int> labels;            // only images of these classes, which become classes 0, 1, ...; empty: all
  std::filesystem::path folder;       // of the files; empty: Debian's package
  int solids = 1024, points = 16384;
  std::vector<std::string> families{"union"}; // of solids (solids.h), which are their classes
  std::string signal = "occupancy";           // or distance: of solids and meshes
  double band = 0.1;                          // the distance at which that ends
  int side = 28, channels = 0;     // of `images`: what they are resized to; 1 gray, 3 colour, 0 what the first has
  std::string alphabet = "folded"; // of text
};

// What data.name may be.
std::vector<std::string> dataset_names();

// Side and channels of the images, with a look at no more than headers.
struct ImageFormat {
  int side, channels;
};
ImageFormat image_format(const DatasetOptions &);

// What load_dataset would load, from the headers of the files and their labels. Throws as it does.
DatasetSizes dataset_sizes(const DatasetOptions &);

// Throws InputError for another name, or when the images are nowhere, or damaged, or fewer than `validation`, or
// without such a label, or meshes, whose signals are computed on a device (engine/shapes/mesh_signals.h).
Dataset load_dataset(const DatasetOptions &);

} // namespace theta
