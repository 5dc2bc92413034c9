#include "lambdaml/comm/retention.h"

#include <iterator>
#include <utility>

namespace lambdaml::comm {

void Retention::Wrote(uint64_t round, std::vector<std::string> keys) {
  written_.push_back({round, std::move(keys)});
}

std::vector<std::string> Retention::TakeReadBefore(uint64_t round) {
  std::vector<std::string> keys;
  while (!written_.empty() && written_.front().round < round) {
    auto& oldest = written_.front().keys;
    keys.insert(keys.end(), std::make_move_iterator(oldest.begin()),
                std::make_move_iterator(oldest.end()));
    written_.pop_front();
  }
  return keys;
}

}  // namespace lambdaml::comm
