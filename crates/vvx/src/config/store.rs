//! Layers in flash: each one as numbered pieces, JSON objects small enough for a flash record.

use std::collections::BTreeMap;

use net::Outbox;

use super::{ConfigError, Layer, PARAMETERS_LIMIT, Source, check};
use crate::flash::{Flash, WriteId};

/// Octets of a piece; a single value may be larger than this only up to its own limit, escaped.
const PIECE: usize = 8 * 1024;

/// The layers that survive a power cut.
pub(super) const PERSISTENT: [Source; 4] = [Source::Device, Source::Files, Source::Web, Source::Local];

fn prefix(source: Source) -> Option<String> {
    PERSISTENT.contains(&source).then(|| format!("config/{}/", source.label()))
}

/// A layer as the flash holds it; empty if there is none.
pub(super) fn read(flash: &Flash, source: Source) -> Layer {
    let Some(prefix) = prefix(source) else {
        return Layer::new();
    };
    let mut layer = Layer::new();
    for key in flash.keys(&prefix) {
        let piece = flash.get(key).and_then(|bytes| serde_json::from_slice::<Layer>(bytes).ok());
        layer.extend(piece.unwrap_or_default());
    }
    // Written by another release, or by nobody: limits hold all the same.
    while layer.len() > PARAMETERS_LIMIT {
        layer.pop_last();
    }
    if check(&layer).is_err() {
        layer.retain(|name, text| check(&Layer::from([(name.clone(), text.clone())])).is_ok());
    }
    layer
}

/// Writes whole layers as one batch; pieces that did not change are left alone.
pub(super) fn write(
    layers: &[(Source, Layer)],
    flash: &mut Flash,
    out: &mut Outbox,
) -> Result<Option<WriteId>, ConfigError> {
    let mut wanted: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (source, layer) in layers {
        let Some(prefix) = prefix(*source) else {
            continue;
        };
        wanted.extend(flash.keys(&prefix).map(|key| (key.to_owned(), None)));
        let pieces = pieces(layer).into_iter().enumerate();
        wanted.extend(pieces.map(|(number, piece)| (format!("{prefix}{number:04}"), Some(piece))));
    }
    wanted.retain(|key, piece| flash.get(key) != piece.as_deref().map(str::as_bytes));
    if wanted.is_empty() {
        return Ok(None);
    }
    let batch: Vec<(&str, Option<&[u8]>)> =
        wanted.iter().map(|(key, piece)| (key.as_str(), piece.as_deref().map(str::as_bytes))).collect();
    Ok(Some(flash.write(&batch, out)?))
}

fn pieces(layer: &Layer) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for (name, text) in layer {
        let pair = format!("{}:{}", quoted(name), quoted(text));
        if !piece.is_empty() && piece.len() + pair.len() > PIECE {
            pieces.push(format!("{{{piece}}}"));
            piece.clear();
        }
        if !piece.is_empty() {
            piece.push(',');
        }
        piece.push_str(&pair);
    }
    if !piece.is_empty() {
        pieces.push(format!("{{{piece}}}"));
    }
    pieces
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
