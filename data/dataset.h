// What networks learn from: labelled images, in three parts: train, validation (the last of the training file) and
// test; or solids, as the signals of fields.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace theta {

struct Images {
  std::vector<std::uint8_t> pixels; // [size(), side, side]
  std::vector<std::uint8_t> labels; // [size()]
  std::size_t size() const { return labels.size(); }
};

struct Dataset {
  std::string name;
  int side = 0, classes = 0;
  Images train, validation, test;
  double mean = 0, std = 1; // of the training pixels, on the scale 0..1
  std::string fingerprint;  // xxh3 of all pixels and labels

  // Solids: [pixels(), 3], where their bytes were taken.
  std::vector<float> points;

  int dimensions() const { return points.empty() ? 2 : 3; }
  int pixels() const { return points.empty() ? side * side : int(points.size() / 3); }
  // Where each pixel (or point) lies, [pixels(), dimensions()], in −1..1: x first, then y (downwards), then z.
  std::vector<float> coordinates() const;
  // x = byte·scale() + shift() has mean 0 and standard deviation 1 over the training part.
  double scale() const { return 1 / (255 * std); }
  double shift() const { return -mean / std; }
};

struct DatasetSizes {
  std::size_t train, validation, test;
  int pixels, classes, dimensions = 2;
};
DatasetSizes sizes_of(const Dataset &);

// Which data to load, and how.
struct DatasetOptions {
  std::string name = "fashion-mnist"; // or solids
  int pool = 1;                       // 2 averages 2x2 pixels to one (28x28 -> 14x14)
  std::size_t validation = 5000;      // the last so many images of the training file are kept from training
  std::vector<int> labels;            // only images of these classes, which become classes 0, 1, ...; empty: all
  std::filesystem::path folder;       // empty: Debian's package, under .deps/ or /usr
  int solids = 1024, points = 16384;
};

// Side of the images, without a look at the files.
int dataset_side(const DatasetOptions &);

// What load_dataset would load, from the headers of the files and their labels. Throws as it does.
DatasetSizes dataset_sizes(const DatasetOptions &);

// Fashion-MNIST, or solids (solids.h). Throws InputError for another name, or when the images are nowhere, or damaged,
// or fewer than `validation`, or without such a label.
Dataset load_dataset(const DatasetOptions &);

} // namespace theta
