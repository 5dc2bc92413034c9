// A tile: the few rows that go through the kernels together.
#pragma once

namespace lambdaml::model {

// Rows of a tile at most. The scores of a tile are planes of so many numbers, one plane per output:
// scores[k * kTileRows + r].
inline constexpr int kTileRows = 128;

}  // namespace lambdaml::model
