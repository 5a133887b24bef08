import { join } from 'node:path';

/** How the clips of a published data set lie on disk. All paths are relative to `folder`, that to `data.root`. */
export interface ClipLayout {
  readonly folder: string;
  /** Where the video may be: the first that exists counts. */
  readonly videos: (name: string) => readonly [string, ...string[]];
  readonly audio: (name: string) => string;
  /** Cropped faces: npy uint8 [frames, height, width, 3], BGR. */
  readonly face: (name: string) => string;
  /** `name` and this column. */
  readonly subtitles: { readonly file: string; readonly column: string };
  /** Folders that have to be there. */
  readonly folders: readonly string[];
  /** Where to get it. */
  readonly source: string;
}

const polished = 'transcription-engchi-polish.csv';
const merBench =
  'https://github.com/zeroQiaoba/MERTools (MERBench; its README says where each set comes from)';

/** Faces lie side by side, `openface_face/NAME.npy`, in all sets but those of MER2025. */
const layout = (
  folder: string,
  {
    video,
    audio,
    extensions = ['mp4', 'avi'],
    subtitles = { file: polished, column: 'english' },
  }: {
    readonly video: string;
    readonly audio: string;
    readonly extensions?: readonly [string, ...string[]];
    readonly subtitles?: ClipLayout['subtitles'];
  },
): ClipLayout => {
  const [first, ...others] = extensions;
  const videoAs = (name: string, extension: string) => join(video, `${name}.${extension}`);
  return {
    folder,
    videos: (name) => [videoAs(name, first), ...others.map((extension) => videoAs(name, extension))],
    audio: (name) => join(audio, `${name}.wav`),
    face: (name) => join('openface_face', `${name}.npy`),
    subtitles,
    folders: [video, audio, 'openface_face'],
    source: merBench,
  };
};

/** Folders of published clips. Several data sets may share one. */
export const clipLayouts = {
  mer2025: {
    ...layout('mer2025-dataset', {
      ...{ video: 'video', audio: 'audio', extensions: ['mp4'] },
      subtitles: { file: 'subtitle_chieng.csv', column: 'english' },
    }),
    face: (name) => join('openface_face', name, `${name}.npy`),
    source: 'https://huggingface.co/datasets/MERChallenge/MER2025 (after signing its licence)',
  },
  mer2023: layout('mer2023-dataset-process', { video: 'video', audio: 'audio' }),
  mer2024: layout('mer2024-dataset-process', {
    ...{ video: 'video', audio: 'audio' },
    subtitles: { file: 'transcription_merge.csv', column: 'chinese' },
  }),
  meld: layout('meld-process', { video: 'subvideo', audio: 'subaudio' }),
  iemocapfour: layout('iemocap-process', { video: 'subvideo-tgt', audio: 'subaudio', extensions: ['avi'] }),
  cmumosi: layout('cmumosi-process', { video: 'subvideo', audio: 'subaudio' }),
  cmumosei: layout('cmumosei-process', { video: 'subvideo_new', audio: 'subaudio' }),
  sims: layout('sims-process', { video: 'video', audio: 'audio' }),
  simsv2: layout('simsv2-process', { video: 'video_new', audio: 'audio' }),
  ovmerdplus: {
    ...layout('ovmerdplus-process', {
      ...{ video: 'video', audio: 'audio', extensions: ['mp4'] },
      subtitles: { file: 'subtitle_eng.csv', column: 'sentence' },
    }),
    source: 'https://github.com/zeroQiaoba/AffectGPT (its README says how to ask for OV-MERD+)',
  },
} as const satisfies Record<string, ClipLayout>;
