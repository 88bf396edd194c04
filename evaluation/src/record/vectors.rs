//! Vectors as lists of numbers.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A vector and the array that it is written as.
pub trait Vector: Copy + From<Self::Array> {
    /// Its numbers.
    type Array: From<Self> + Serialize + DeserializeOwned;
}

impl Vector for glam::Vec2 {
    type Array = [f32; 2];
}

impl Vector for glam::Vec3 {
    type Array = [f32; 3];
}

pub fn serialize<V: Vector, S: Serializer>(values: &[V], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(|v| V::Array::from(*v)))
}

pub fn deserialize<'de, V: Vector, D: Deserializer<'de>>(from: D) -> Result<Vec<V>, D::Error> {
    let arrays = Vec::<V::Array>::deserialize(from)?;
    Ok(arrays.into_iter().map(V::from).collect())
}
