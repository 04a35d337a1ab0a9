//! [`Reader`]: how Wizer asks an instance for its memories and globals.

use wasmtime::Store;
use wasmtime::component::{Instance, Lift, WasmList};
use wasmtime_wizer::ComponentInstanceState;

use crate::quiet::Quiet;

/// An instance that is read. What goes wrong is kept, since Wizer expects that nothing does.
pub struct Reader<'a> {
    store: &'a mut Store<Quiet>,
    instance: Instance,
    failed: Option<wasmtime::Error>,
}

impl<'a> Reader<'a> {
    pub fn new(store: &'a mut Store<Quiet>, instance: Instance) -> Self {
        Self { store, instance, failed: None }
    }

    /// Why what was read is not all there is.
    pub fn failed(self) -> Option<wasmtime::Error> {
        self.failed
    }

    async fn read<R, V: Default>(&mut self, interface: &str, function: &str, take: impl FnOnce(&Store<Quiet>, R) -> V + Send) -> V
    where
        R: Lift + Send + Sync + 'static,
    {
        match self.call(interface, function).await {
            Ok(value) => take(self.store, value),
            Err(error) => {
                self.failed = Some(error);
                V::default()
            }
        }
    }

    async fn call<R: Lift + Send + Sync + 'static>(&mut self, interface: &str, function: &str) -> wasmtime::Result<R> {
        let missing = || wasmtime::Error::msg(format!("there is no {interface} {function}"));
        let (_, interface) = self.instance.get_export(&mut *self.store, None, interface).ok_or_else(missing)?;
        let (_, function) = self.instance.get_export(&mut *self.store, Some(&interface), function).ok_or_else(missing)?;
        let function = self.instance.get_typed_func::<(), (R,)>(&mut *self.store, function)?;
        Ok(function.call_async(&mut *self.store, ()).await?.0)
    }
}

impl ComponentInstanceState for Reader<'_> {
    async fn call_func_ret_list_u8(&mut self, interface: &str, function: &str, contents: impl FnOnce(&[u8]) + Send) {
        self.read(interface, function, |store, list: WasmList<u8>| contents(list.as_le_slice(store))).await;
    }

    async fn call_func_ret_s32(&mut self, interface: &str, function: &str) -> i32 {
        self.read(interface, function, |_, value| value).await
    }

    async fn call_func_ret_s64(&mut self, interface: &str, function: &str) -> i64 {
        self.read(interface, function, |_, value| value).await
    }

    async fn call_func_ret_f32(&mut self, interface: &str, function: &str) -> u32 {
        self.read(interface, function, |_, value: f32| value.to_bits()).await
    }

    async fn call_func_ret_f64(&mut self, interface: &str, function: &str) -> u64 {
        self.read(interface, function, |_, value: f64| value.to_bits()).await
    }
}
