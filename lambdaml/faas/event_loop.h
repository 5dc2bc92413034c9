// One thread's event loop: tasks, timers and descriptors. Everything that the local platform owns
// lives on one loop's thread, so none of it needs a lock. (Boost.Asio stays behind this header.)
#pragma once

#include <functional>
#include <memory>

#include "lambdaml/base/clock.h"

namespace boost::asio {
class io_context;
}  // namespace boost::asio

namespace lambdaml::faas {

class EventLoop {
 public:
  using Task = std::function<void()>;
  // Dropping it cancels: its task will not run any more, even if its event has happened. A task
  // may drop its own subscription.
  using Subscription = std::shared_ptr<const void>;

  EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  // Runs events on the calling thread until Finish() was called and nothing is left under way.
  // Tasks must not throw.
  void Run();
  void Finish();

  // Runs the task on the loop's thread. Threads: any; all other members: the loop's thread, or
  // before Run.
  void Post(Task task);

  // Runs the task once after `delay`.
  [[nodiscard]] Subscription After(base::Duration delay, Task task);

  // Runs the task once when the descriptor, which must outlive the subscription, can be read.
  [[nodiscard]] Subscription WhenReadable(int descriptor, Task task);

  boost::asio::io_context& context();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lambdaml::faas
