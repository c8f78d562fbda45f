//! Cache look-up and storing, with the plugins' say in both.
