//! The one wasmtime engine: how components are compiled and where their instances live.
//!
//! Concurrency support is off (a call costs less than half), fuel and epochs are both on: fuel is the meter, epochs are the wall clock.
//! Where the address space does not allow a pool (a container with `ulimit -v`), instances are allocated on demand instead.

use std::thread;
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// The granularity of deadlines. Finer costs wake-ups of an otherwise idle process; coarser makes short deadlines vague.
pub(super) const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Most bytes of native stack that Wasm frames of one call may use; over it the call traps. Worker threads have far more.
const WASM_STACK_BYTES: usize = 512 * 1024;

/// Instances that can live at the same time. One warm instance per worker, plugin and configuration is the common case.
const INSTANCES_MAX: u32 = 1000;

/// Core modules, memories and tables in one component. `wasm32-wasip2` makes three or four modules; composed components more.
const MODULES_PER_COMPONENT_MAX: u32 = 16;

/// No instance can be allowed more memory than this, whatever the configuration says.
pub const MEMORY_BYTES_CEILING: usize = 1 << 30;

/// Builds the engine and starts its clock, which ends when the last clone of the engine is gone.
pub(super) fn build() -> wasmtime::Result<Engine> {
    let engine = Engine::new(&config(Pool::Use)).or_else(|error| {
        tracing::warn!(%error, "no room for an instance pool; instances are allocated on demand, which is slower");
        Engine::new(&config(Pool::Avoid))
    })?;
    start_clock(&engine)?;
    Ok(engine)
}

enum Pool {
    Use,
    Avoid,
}

fn config(pool: Pool) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .memory_init_cow(true);
    if matches!(pool, Pool::Use) {
        let mut pooling = PoolingAllocationConfig::new();
        pooling
            .total_component_instances(INSTANCES_MAX)
            .total_core_instances(INSTANCES_MAX * 4)
            .total_memories(INSTANCES_MAX)
            .total_tables(INSTANCES_MAX * 2)
            .max_core_instances_per_component(MODULES_PER_COMPONENT_MAX)
            .max_memories_per_component(MODULES_PER_COMPONENT_MAX)
            .max_tables_per_component(MODULES_PER_COMPONENT_MAX)
            .max_memory_size(MEMORY_BYTES_CEILING)
            .table_elements(100_000);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    }
    config
}

/// Deadlines count ticks of this clock. It holds the engine weakly, so that it is no reason for the engine to live on.
fn start_clock(engine: &Engine) -> wasmtime::Result<()> {
    let weak = engine.weak();
    thread::Builder::new().name("epoch".into()).spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(EPOCH_TICK);
        }
    })?;
    Ok(())
}

/// The number of ticks after which at least `timeout` has passed.
pub(super) fn ticks(timeout: Duration) -> u64 {
    // One more, since the current tick is already partly over.
    u64::try_from(timeout.as_nanos().div_ceil(EPOCH_TICK.as_nanos())).unwrap_or(u64::MAX).saturating_add(1)
}
