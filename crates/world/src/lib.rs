//! The one door to the outside: clock, entropy, disk, network and processes, each with a real and a simulated side.
