// Data sets at places: a file or an object, or a folder of shards.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/load.h"
#include "lambdaml/data/save.h"
#include "lambdaml/data/shards.h"

namespace lambdaml::place {

// The files of a folder of this machine or of a store.
std::shared_ptr<const data::Folder> OpenFolder(const std::string& place);

// What a place holds: a folder of shards, or else one file.
struct DataPlace {
  std::string name;                         // as the user gave it
  std::optional<data::ShardFolder> shards;  // its folder of shards
  std::optional<base::Blob> object;         // or the bytes of an object in a store;
                                            // neither: a file of this machine
};

// Looks at the place. An object is read, and taken for a folder if it is missing or its URL ends
// with '/'. Errors: kNotFound if there is neither; those of the store; as data::ListShards.
DataPlace OpenData(const std::string& place);

// Loads all of it. Errors: as data::LoadDataset.
data::Dataset LoadData(DataPlace place, const data::LoadOptions& options);
data::Dataset LoadData(const std::string& place, const data::LoadOptions& options);

// Writes a file or an object whole or not at all. Errors: as place::Write.
void SaveData(const data::Dataset& dataset, const std::string& place, data::FileFormat format);

}  // namespace lambdaml::place
