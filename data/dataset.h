// Labelled images, in three parts: train, validation (the last of the training file) and test.
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

  int pixels() const { return side * side; }
  // x = byte·scale() + shift() has mean 0 and standard deviation 1 over the training part.
  double scale() const { return 1 / (255 * std); }
  double shift() const { return -mean / std; }
};

struct DatasetSizes {
  std::size_t train, validation, test;
  int pixels, classes;
};

// Which images to load, and how.
struct DatasetOptions {
  int pool = 1;                  // 2 averages 2x2 pixels to one (28x28 -> 14x14)
  std::size_t validation = 5000; // the last so many images of the training file are kept from training
  std::vector<int> labels;       // only images of these classes, which become classes 0, 1, ...; empty: all
  std::filesystem::path folder;  // empty: Debian's package, under .deps/ or /usr
};

// What load_fashion_mnist would load, from the headers of the files and their labels. Throws as it does.
DatasetSizes fashion_mnist_sizes(const DatasetOptions &);

// Fashion-MNIST. Throws InputError when it is nowhere, or damaged, or smaller than `validation`, or has no such label.
Dataset load_fashion_mnist(const DatasetOptions &);

} // namespace theta
