// The folder of one local run: shards, the default channel, the functions' scratch space and logs.
// It goes away with the run, however that ends.
#pragma once

#include <memory>
#include <string>

#include "lambdaml/base/file.h"

namespace lambdaml::train {

// Creates the folder under `parent`, or, if that is empty, in memory (/dev/shm) when there are at
// least `bytes_needed` free, else under TMPDIR or /tmp. Errors: kResourceExhausted if neither has
// the room (the message says how much is needed and where); those of creating a folder.
class RunDirectory {
 public:
  RunDirectory(const std::string& parent, uint64_t bytes_needed);

  const std::string& path() const { return directory_.path(); }
  std::string shards() const { return path() + "/shards"; }
  std::string channel() const { return path() + "/channel"; }
  std::string functions() const { return path() + "/functions"; }

  // The run's name in messages and keys: the folder's own.
  std::string job_id() const;

 private:
  base::TemporaryDirectory directory_;
};

}  // namespace lambdaml::train
