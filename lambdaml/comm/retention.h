// What this rank wrote in past rounds, and when it may go: the one place that decides it.
//
// Invariant: once a rank has a result of round m that depends on every rank's contribution to m,
// every rank has read all it ever will of the rounds before m.
// Proof: a rank contributes to m only after it has returned from round m-1, hence with all its
// reads of rounds 0..m-1 behind it (rounds follow each other, and a round that failed has no
// successor). A result that depends on all contributions to m was made after all of them.
// So the rank then deletes what it wrote in rounds < m itself; nobody deletes another rank's keys.
//
// What no later round proves (the last rounds of a job) is deleted with the job: DeleteJob.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace lambdaml::comm {

// Threads: one.
class Retention {
 public:
  // This rank has written `keys` in `round`; rounds do not decrease.
  void Wrote(uint64_t round, std::vector<std::string> keys);

  // Every rank has contributed to `round`: returns, once, the keys nobody will read again.
  std::vector<std::string> TakeReadBefore(uint64_t round);

 private:
  struct RoundKeys {
    uint64_t round = 0;
    std::vector<std::string> keys;
  };
  std::deque<RoundKeys> written_;
};

}  // namespace lambdaml::comm
