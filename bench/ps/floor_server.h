// The least that rounds through a server can cost: W plain sockets over loopback to a process that
// reads n bytes from each into memory of its own, and when it has all, writes the same n other
// bytes to each: the memory and the order of a sum. No protocol, no sum, nothing looked at.
#pragma once

#include <cstddef>
#include <sys/types.h>
#include <vector>

#include "lambdaml/base/file.h"

namespace lambdaml::bench {

// Forks: to be made while the program has no other threads. Threads: one for each worker.
class FloorServer {
 public:
  // What a worker does in a round: sends, receives, or both.
  struct Round {
    size_t sent_bytes = 0;
    size_t received_bytes = 0;
  };
  FloorServer(int worker_count, Round round);
  FloorServer(const FloorServer&) = delete;
  FloorServer& operator=(const FloorServer&) = delete;
  ~FloorServer();

  // A round of one worker.
  void Run(int worker);

 private:
  Round round_;
  pid_t server_ = -1;
  std::vector<base::FileDescriptor> sockets_;
  std::vector<std::vector<char>> buffers_;
};

}  // namespace lambdaml::bench
