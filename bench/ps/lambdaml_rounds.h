// Rounds as LambdaML's clients make them: can_pull, pull_model, can_push, push_update, with lists
// of doubles, through the code that Thrift generates.
#pragma once

#include <memory>
#include <string>

namespace lambdaml::bench {

// Threads: one.
class LambdamlRounds {
 public:
  // Worker 0 registers the model.
  LambdamlRounds(int port, const std::string& model, int worker, int worker_count, size_t length);
  ~LambdamlRounds();

  // Waits without pauses, unlike LambdaML's own client, which sleeps 0.1 s between questions.
  void Run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lambdaml::bench
