import type { Engine } from '../../src/engine/types.ts';

/** An engine that says whether sizes are fixed, and notes which combinations of sizes each function is run with. */
export function watchSizes(engine: Engine, fixedSizes: boolean) {
  const asked: Record<string, Set<string>> = {};
  const watched: Engine = {
    name: engine.name,
    fixedSizes,
    createState: (values) => engine.createState(values),
    compile: async (fn, options) => {
      const compiled = await engine.compile(fn, options);
      const sizes = new Set<string>();
      asked[options.name] = sizes;
      return {
        name: compiled.name,
        dispose: () => compiled.dispose(),
        run: (inputs, ...rest) => {
          const shapes = Object.keys(options.inputs).map((name) => [name, inputs[name]!.shape]);
          sizes.add(JSON.stringify(shapes));
          return compiled.run(inputs, ...rest);
        },
      };
    },
  };
  return { engine: watched, asked };
}
