// What the model looks at and listens to, decoded by the browser.

/** Waits for an event of a video. */
const until = (video, event) =>
  new Promise((resolve, reject) => {
    video.addEventListener(event, resolve, { once: true });
    video.onerror = () => reject(new Error(`The browser cannot decode this video: ${video.error.message}`));
  });

/** Brings up the picture of a moment. @returns when that picture begins, in seconds */
async function seek(video, seconds) {
  const shown = new Promise((resolve) => {
    video.requestVideoFrameCallback((_, { mediaTime }) => resolve(mediaTime));
  });
  video.currentTime = seconds;
  await until(video, 'seeked');
  // The picture may come after the event; where it is the one that was there before, nothing more comes.
  const same = new Promise((resolve) => setTimeout(resolve, 2000)).then(() => {
    const frame = new VideoFrame(video);
    frame.close();
    return frame.timestamp / 1e6;
  });
  return Promise.race([shown, same]);
}

/** The frames that the model looks at, as RGB bytes. `before` is `vision.before` of preprocessor_config.json. */
export async function framesOf(blob, { frames, height, width }) {
  const video = Object.assign(document.createElement('video'), { muted: true, preload: 'auto' });
  video.src = URL.createObjectURL(blob);
  // How many frames there are, and how far apart: what the last one and the one before it say.
  await until(video, 'loadeddata');
  const first = await seek(video, 0);
  const last = await seek(video, video.duration);
  const step = last - (await seek(video, last - 0.001));
  const count = step > 0 ? Math.round((last - first) / step) + 1 : 1;
  const n = Math.min(frames, count);
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  const data = new Uint8Array(frames * height * width * 3);
  for (let i = 0; i < frames; i++) {
    const offset = i * height * width * 3;
    if (i >= n) {
      // A clip of fewer frames: the last one stands for those that are missing.
      data.copyWithin(offset, (n - 1) * height * width * 3, n * height * width * 3);
      continue;
    }
    await seek(video, first + (Math.floor(i * (count / n)) + 0.5) * step);
    context.drawImage(video, 0, 0, width, height);
    const { data: rgba } = context.getImageData(0, 0, width, height);
    for (let from = 0, to = offset; from < rgba.length; from += 4, to += 3) {
      data.set(rgba.subarray(from, from + 3), to);
    }
  }
  URL.revokeObjectURL(video.src);
  return { data, dims: [frames, height, width, 3] };
}

/** 16 kHz; the mean of the channels. */
export async function soundOf(blob) {
  const context = new OfflineAudioContext({ length: 1, sampleRate: 16_000 });
  const sound = await context.decodeAudioData(await blob.arrayBuffer());
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  return Float32Array.from(
    channels[0],
    (_, i) => channels.reduce((sum, one) => sum + one[i], 0) / channels.length,
  );
}
