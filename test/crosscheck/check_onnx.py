"""onnx.checker, shape inference included, on graphs; prints those that it refuses and why."""

import json
import sys

import onnx

faults = {}
for path in sys.argv[1:]:
    try:
        onnx.checker.check_model(path, full_check=True)
    except onnx.checker.ValidationError as error:
        faults[path] = str(error)
    except onnx.shape_inference.InferenceError as error:
        faults[path] = str(error)
print(json.dumps(faults))
