//! Times the dispatches of a program one by one.

use super::program::Program;
use crate::Result;
use crate::gpu::device::device::Gpu;
use crate::gpu::tensor::transfer::map_words;

impl Program {
    /// Runs once with a timestamp before and after each dispatch and returns the seconds that each
    /// took. Dispatches then cannot overlap. If the adapter has no timestamps, each is submitted
    /// alone and timed by the host.
    ///
    /// # Errors
    /// When the device fails.
    pub fn profile(&self, gpu: &Gpu) -> Result<Vec<f64>> {
        if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return self.profile_from_host(gpu);
        }
        let mut seconds = Vec::with_capacity(self.steps.len());
        for steps in self.steps.chunks(wgpu::QUERY_SET_MAX_QUERIES as usize / 2) {
            let count = 2 * steps.len() as u32;
            let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("profile"),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            let size = 8 * u64::from(count);
            let buffer = |usage| {
                gpu.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("profile"),
                    size,
                    usage,
                    mapped_at_creation: false,
                })
            };
            let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
            let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            for (index, step) in steps.iter().enumerate() {
                let first = 2 * index as u32;
                let timed = wgpu::ComputePassDescriptor {
                    label: Some(&step.label),
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &queries,
                        beginning_of_pass_write_index: Some(first),
                        end_of_pass_write_index: Some(first + 1),
                    }),
                };
                step.encode(&mut encoder.begin_compute_pass(&timed));
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, Some(size));
            gpu.queue.submit([encoder.finish()]);
            let words = map_words(gpu, &staging)?;
            let ticks = |at: usize| u64::from(words[2 * at]) | u64::from(words[2 * at + 1]) << 32;
            let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
            seconds.extend(
                (0..steps.len())
                    .map(|at| ticks(2 * at + 1).saturating_sub(ticks(2 * at)) as f64 * period),
            );
        }
        Ok(seconds)
    }

    fn profile_from_host(&self, gpu: &Gpu) -> Result<Vec<f64>> {
        let mut seconds = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            step.encode(&mut encoder.begin_compute_pass(&Default::default()));
            let start = std::time::Instant::now();
            gpu.queue.submit([encoder.finish()]);
            gpu.wait()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(seconds)
    }
}
