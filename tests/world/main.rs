//! The tests of the whole, in one binary so that they are linked once.

mod codegen;
