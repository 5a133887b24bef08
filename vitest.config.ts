import { defineConfig } from 'vitest/config';

/** `unit` is what `npm test` runs; `full` holds what needs longer or more than npm packages. */
export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    // Tests leave nothing in the user's cache.
    env: { AFFECTGPT_ONNXRUNTIME_CACHE: '' },
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/full/**', 'test/bench/**'] },
      },
      { extends: true, test: { name: 'full', include: ['test/full/**/*.test.ts'], testTimeout: 1_800_000 } },
    ],
  },
});
