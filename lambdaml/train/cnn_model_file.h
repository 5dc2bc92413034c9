// Networks as safetensors files (data/safetensors.h), with PyTorch's names: parameters, running
// statistics, batch counts. docs/cnn.md lists the metadata.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/image_batch.h"
#include "lambdaml/nn/architecture.h"
#include "lambdaml/nn/network.h"

namespace lambdaml::train {

// A trained network, as the file has it.
struct CnnModel {
  nn::Architecture architecture = nn::Architecture::kMobileNet;
  int64_t n_classes = 0;
  // Of the images it was trained on; nothing in a file of another program.
  std::optional<data::Normalisation> normalisation;
  std::vector<float> parameters;  // nn::StateLayout::parameters, flat
  std::vector<float> statistics;  // nn::StateLayout::statistics, flat
  int64_t batch_count = 0;
};

// What a network holds at the moment.
CnnModel ModelOf(nn::Network& network, const data::Normalisation& normalisation);

// Sets parameters, statistics and batch count. The network is of the model's architecture and
// classes.
void SetNetwork(const CnnModel& model, nn::Network& network);

// Equal models give equal bytes.
base::Bytes FormatCnnModel(const CnnModel& model);

// Reads a file of ours, or of any program that has written the state dict of one of our networks:
// the architecture is the one whose tensors are there. Errors, as "origin: what": kInvalidData for
// a bad file, tensors that are missing, too many, or of another shape or type, numbers that are not
// finite, metadata that contradict the tensors.
CnnModel ParseCnnModel(base::Blob file, std::string_view origin);

}  // namespace lambdaml::train
