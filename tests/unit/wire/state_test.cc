#include "lambdaml/wire/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <vector>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"

namespace lambdaml::wire {
namespace {

using base::Blob;
using base::Bytes;
using testing::HasSubstr;

// One variable of each kind.
struct Variables {
  int64_t epoch = 0;
  uint64_t count = 0;
  double loss = 0;
  bool stopping = false;
  std::string cause;
  std::vector<int64_t> order;
  std::vector<float> velocity;
  std::vector<double> sums;
  std::vector<float> w = std::vector<float>(3);
  std::vector<double> duals = std::vector<double>(2);

  void VisitState(State& state) {
    state.Visit("epoch", epoch);
    state.Visit("count", count);
    state.Visit("loss", loss);
    state.Visit("stopping", stopping);
    state.Visit("cause", cause);
    state.Visit("order", order);
    state.Visit("velocity", velocity);
    state.Visit("sums", sums);
    state.Visit("w", std::span(w));
    state.Visit("duals", std::span(duals));
  }

  bool operator==(const Variables&) const = default;
};

Variables MakeVariables() {
  return {.epoch = -7,
          .count = std::numeric_limits<uint64_t>::max(),
          .loss = 0.1,
          .stopping = true,
          .cause = "n_epochs",
          .order = {3, 1, 2},
          .velocity = {},
          .sums = {1e-300, std::numeric_limits<double>::infinity()},
          .w = {1, -0.0F, 3},
          .duals = {5, 6}};
}

Bytes Saved(Variables run) {
  State state;
  EXPECT_TRUE(state.is_saving());
  run.VisitState(state);
  return state.TakeBytes();
}

template <typename Visit>
std::string ErrorOf(Bytes bytes, const Visit& visit) {
  try {
    State state(Blob(std::move(bytes)), "state.of.rank2");
    visit(state);
    state.CheckEnd();
    return "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kCorrupt);
    EXPECT_THAT(error.message(), HasSubstr("state.of.rank2"));
    return error.message();
  }
}

std::string ErrorOf(Bytes bytes) {
  return ErrorOf(std::move(bytes), [](State& state) {
    Variables run;
    run.VisitState(state);
  });
}

TEST(State, GivesBackWhatItTookDown) {
  const Variables run = MakeVariables();
  State state(Blob(Saved(run)), "test");
  EXPECT_FALSE(state.is_saving());
  Variables restored;
  restored.VisitState(state);
  state.CheckEnd();
  EXPECT_EQ(restored, run);
}

TEST(State, IsEmptyOnceItsBytesAreTaken) {
  State state;
  int64_t value = 3;
  state.Visit("a", value);
  EXPECT_GT(state.TakeBytes().size(), 16U);
  EXPECT_EQ(ErrorOf(state.TakeBytes(), [](State&) {}), "no error");
}

TEST(State, EveryFlippedBitIsNoticed) {
  const Bytes bytes = Saved(MakeVariables());
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    Bytes damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_NE(ErrorOf(std::move(damaged)), "no error") << bit;
  }
}

TEST(State, EveryCutIsNoticed) {
  const Bytes bytes = Saved(MakeVariables());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(ErrorOf({bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)}), "no error");
  }
}

// With the checksum set right: what is read then must still be checked.
TEST(State, NothingIsReadOutsideOfBytesThatLie) {
  const Bytes bytes = Saved(MakeVariables());
  for (size_t at = 16; at < bytes.size(); ++at) {
    for (const int value : {0, 1, 4, 5, 0x7f, 0xff}) {
      Bytes lying = bytes;
      lying[at] = static_cast<std::byte>(value);
      const uint64_t checksum = base::Checksum64(base::ByteSpan(lying).subspan(16));
      std::memcpy(lying.data() + 8, &checksum, sizeof(checksum));
      ErrorOf(std::move(lying));  // any outcome, as long as it is one
    }
  }
}

TEST(State, OfAnotherKindOfRunIsRefused) {
  State state;
  int64_t epoch = 1;
  std::vector<float> w = {1, 2};
  state.Visit("epoch", epoch);
  state.Visit("w", w);
  const Bytes bytes = state.TakeBytes();
  double wrong_type = 0;
  EXPECT_THAT(ErrorOf(bytes, [&](State& from) { from.Visit("epoch", wrong_type); }),
              HasSubstr("'epoch' is expected"));
  EXPECT_THAT(ErrorOf(bytes, [&](State& from) { from.Visit("round", epoch); }),
              HasSubstr("'epoch' where 'round' is expected"));
  EXPECT_THAT(ErrorOf(bytes, [&](State& from) { from.Visit("epoch", epoch); }),
              HasSubstr("more than is expected"));
  std::vector<float> longer(3);
  EXPECT_THAT(ErrorOf(bytes,
                      [&](State& from) {
                        from.Visit("epoch", epoch);
                        from.Visit("w", std::span(longer));
                      }),
              HasSubstr("its w has 2 numbers, expected 3"));
}

}  // namespace
}  // namespace lambdaml::wire
