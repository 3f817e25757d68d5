//! What tests take out of tensors and errors.

use digit_gan::Error;
use digit_gan::prelude::*;

pub fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The message of the error that is expected: one of ours, about what was given, and not what candle says of it.
pub fn message<T>(result: digit_gan::Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(Error::Candle(error)) => panic!("not caught before candle: {error}"),
        Err(error) => error.to_string(),
    }
}
