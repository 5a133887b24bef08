/** Files of `torch.save`: checkpoints and weights in PyTorch's own format. */
export { openTorchCheckpoint, type TorchCheckpoint } from './torch/checkpoint.ts';
export { TorchTensor } from './torch/kind.ts';
export { tensorsIn, topLevelTensors } from './torch/tensors.ts';
