#include "lambdaml/faas/event_loop.h"

#include <optional>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace lambdaml::faas {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

// What a subscription owns. Completion handlers hold it weakly, so a dropped one is silent.
struct TimerWait {
  TimerWait(asio::io_context& context, EventLoop::Task task_in)
      : timer(context), task(std::move(task_in)) {}
  asio::steady_timer timer;
  EventLoop::Task task;
};

struct DescriptorWait {
  DescriptorWait(asio::io_context& context, int raw, EventLoop::Task task_in)
      : descriptor(context, raw), task(std::move(task_in)) {}
  DescriptorWait(const DescriptorWait&) = delete;
  DescriptorWait& operator=(const DescriptorWait&) = delete;
  ~DescriptorWait() { descriptor.release(); }  // it is the subscriber's
  asio::posix::stream_descriptor descriptor;
  EventLoop::Task task;
};

template <class Wait>
auto RunTaskOf(const std::shared_ptr<Wait>& wait) {
  return [weak = std::weak_ptr<Wait>(wait)](const ErrorCode& error) {
    // Holds the wait while its task runs, which may drop the subscription.
    if (const auto alive = weak.lock(); alive && !error) alive->task();
  };
}

}  // namespace

struct EventLoop::State {
  asio::io_context context{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> guard{
      context.get_executor()};
};

EventLoop::EventLoop() : state_(std::make_unique<State>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::Run() { state_->context.run(); }
void EventLoop::Finish() { state_->guard.reset(); }
void EventLoop::Post(Task task) { asio::post(state_->context, std::move(task)); }
asio::io_context& EventLoop::context() { return state_->context; }

EventLoop::Subscription EventLoop::After(base::Duration delay, Task task) {
  auto wait = std::make_shared<TimerWait>(state_->context, std::move(task));
  wait->timer.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(delay));
  wait->timer.async_wait(RunTaskOf(wait));
  return wait;
}

EventLoop::Subscription EventLoop::WhenReadable(int descriptor, Task task) {
  auto wait = std::make_shared<DescriptorWait>(state_->context, descriptor, std::move(task));
  wait->descriptor.async_wait(asio::posix::stream_descriptor::wait_read, RunTaskOf(wait));
  return wait;
}

}  // namespace lambdaml::faas
