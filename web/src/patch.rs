//! What changed between two states, as a JSON merge patch (RFC 7396): members that changed, and `null` for those that
//! are gone. So the state must have no `null` of its own, and no arrays that change in parts.

use serde_json::{Map, Value};

/// The patch that makes `new` of `old`; `None`: they are the same.
pub(crate) fn diff(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let changed = new.iter().filter_map(|(name, new)| {
                let patch = match old.get(name) {
                    Some(old) => diff(old, new)?,
                    None => new.clone(),
                };
                Some((name.clone(), patch))
            });
            let mut patch: Map<String, Value> = changed.collect();
            let gone = old.keys().filter(|name| !new.contains_key(*name));
            patch.extend(gone.map(|name| (name.clone(), Value::Null)));
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        _ => (old != new).then(|| new.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 7396, section 2.
    fn apply(target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        let target = target.as_object_mut().unwrap();
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                apply(target.entry(name).or_insert(Value::Null), value);
            }
        }
    }

    #[test]
    fn only_what_changed_is_told() {
        let old = json!({"a": {"x": 1, "y": 2, "z": {"deep": [1]}}, "b": "same", "gone": 3});
        let new = json!({"a": {"x": 1, "y": 5, "z": {"deep": [1]}}, "b": "same", "new": {"k": 1}});
        let patch = diff(&old, &new).unwrap();
        assert_eq!(patch, json!({"a": {"y": 5}, "new": {"k": 1}, "gone": null}));
        let mut applied = old;
        apply(&mut applied, &patch);
        assert_eq!(applied, new);
        assert_eq!(diff(&new, &new), None);
    }

    #[test]
    fn any_state_without_null_becomes_any_other() {
        let mut rng = Lcg(7);
        for _ in 0..500 {
            let (old, new) = (tree(&mut rng, 3), tree(&mut rng, 3));
            let mut applied = old.clone();
            if let Some(patch) = diff(&old, &new) {
                apply(&mut applied, &patch);
            }
            assert_eq!(applied, new, "from {old}");
        }
    }

    struct Lcg(u64);

    impl Lcg {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % end
        }
    }

    /// An object of up to four members, objects among them.
    fn tree(rng: &mut Lcg, depth: u32) -> Value {
        let mut object = Map::new();
        for name in ["a", "b", "c", "d"] {
            match rng.below(4) {
                0 => {}
                1 if depth > 0 => drop(object.insert(name.into(), tree(rng, depth - 1))),
                _ => drop(object.insert(name.into(), json!(rng.below(3)))),
            }
        }
        Value::Object(object)
    }
}
