// Asks a model that `affectgpt export onnx` wrote about a clip. Needs model.mjs beside it, and ffmpeg on the PATH.
//   node answer.mjs EXPORTED clip.mp4 --subtitle "What was said" [--question "..."] [--json]
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { answer, openModel } from './model.mjs';

function ffmpeg(clip, ...output) {
  const input = ['-nostdin', '-v', 'error', '-i', clip];
  return execFileSync('ffmpeg', [...input, ...output, 'pipe:1'], { maxBuffer: Number.POSITIVE_INFINITY });
}

/** The frames that the model looks at, scaled as in training. The whole clip is decoded, 150 kB a frame. */
function framesOf(clip, { frames, height, width }) {
  // Renumbered, so that ffmpeg neither drops nor repeats any.
  const filter = `settb=1/25,setpts=N,scale=${width}:${height}:flags=bicubic+accurate_rnd+full_chroma_int`;
  const all = ffmpeg(clip, '-map', '0:V:0', '-vf', filter, '-r', '25', '-f', 'rawvideo', '-pix_fmt', 'rgb24');
  const size = height * width * 3;
  const count = all.length / size;
  const n = Math.min(frames, count);
  const chosen = Array.from({ length: frames }, (_, i) => Math.floor(Math.min(i, n - 1) * (count / n)));
  const data = Buffer.concat(chosen.map((index) => all.subarray(index * size, (index + 1) * size)));
  return { data, dims: [frames, height, width, 3] };
}

/** 16 kHz; the mean of the channels. */
function soundOf(clip) {
  const wave = ffmpeg(clip, '-map', '0:a:0', '-ar', '16000', '-c:a', 'pcm_f32le', '-f', 'wav');
  const channels = wave.readUInt16LE(22);
  const begin = wave.byteOffset + wave.indexOf('data') + 8;
  const samples = new Float32Array(wave.buffer.slice(begin, wave.byteOffset + wave.length));
  return Float32Array.from({ length: samples.length / channels }, (_, i) => {
    const frame = samples.subarray(i * channels, (i + 1) * channels);
    return frame.reduce((sum, value) => sum + value, 0) / channels;
  });
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { subtitle: { type: 'string' }, question: { type: 'string' }, json: { type: 'boolean' } },
});
const [folder, clip] = positionals;
const model = await openModel(folder);
const { features } = model.inputs;
const { text, tokens } = await answer(model, {
  subtitle: values.subtitle,
  question: values.question,
  frame: features.includes('frame') ? framesOf(clip, model.preprocessor.vision.before) : undefined,
  audio: features.includes('audio') ? soundOf(clip) : undefined,
});
console.log(values.json ? JSON.stringify({ text, tokens }) : text);
