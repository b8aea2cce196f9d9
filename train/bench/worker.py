"""One contestant in its own process and environment; it runs this file and nothing of the project unless it is ours.

    python worker.py ENGINE[,ENGINE] FILES.json

FILES.json: {"root", "tflite", "keras", "onnx", "glyphs"}. Then a JSON object a line on standard input:
{"engine", "glyphs": [first, last]} or {"engine", "photos": [path, ...]}, and a line for each on standard output:
{"answers", "wall", "cpu", "resident"}; times in seconds, resident in bytes. The first line it says is {"ready": {}}.
"""

import json
import os
import re
import resource
import subprocess
import sys
import time

STATUS = "/proc/self/status"


def keras(files):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras as library
    import numpy as np

    model = library.models.load_model(files["keras"])
    return lambda glyph: int(model.predict((glyph / np.float32(255))[None, :, :, None], verbose=0).argmax())


def _interpreter(kind, files):
    interpreter = kind(model_path=files["tflite"], num_threads=1)
    interpreter.allocate_tensors()
    takes, gives = interpreter.get_input_details()[0], interpreter.get_output_details()[0]["index"]
    index, shape = takes["index"], takes["shape"]

    def name(glyph):
        interpreter.set_tensor(index, glyph.reshape(shape))
        interpreter.invoke()
        return interpreter.get_tensor(gives)

    return name


def tf_lite(files):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow

    return _interpreter(tensorflow.lite.Interpreter, files)


def tflite(files):
    from tflite_runtime.interpreter import Interpreter

    return _interpreter(Interpreter, files)


def litert(files):
    from ai_edge_litert.interpreter import Interpreter

    return _interpreter(Interpreter, files)


def classifier(files):
    sys.path.insert(0, files["root"])
    from edge.classifier import Classifier

    named = Classifier(files["tflite"])
    return lambda glyph: named(glyph[None])


def onnxruntime(files):
    import numpy as np
    import onnxruntime as library

    options = library.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = library.InferenceSession(files["onnx"], options, providers=["CPUExecutionProvider"])
    return lambda glyph: session.run(None, {"glyph": (glyph / np.float32(255))[None, None]})[0]


def opencv(files):
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    network = cv2.dnn.readNetFromONNX(files["onnx"])

    def name(glyph):
        network.setInput((glyph / np.float32(255))[None, None])
        return network.forward()

    return name


def _read(files, runtime):
    sys.path.insert(0, files["root"])
    from edge.commands import settle_libraries

    settle_libraries()
    from edge.reader import DigitReader

    reader = DigitReader(runtime=runtime)
    return lambda path: reader.read(path).text


def read_litert(files):
    return _read(files, "litert")


def read_tflite(files):
    return _read(files, "tflite")


def _rapidocr(**options):
    from rapidocr_onnxruntime import RapidOCR

    reader = RapidOCR(**options)
    return lambda path: "\n".join(row[1] for row in reader(path)[0] or [])


def rapidocr(files):
    return _rapidocr()


def rapidocr_one_thread(files):
    # With more threads than one it takes more processor time for the same picture, as they wait by spinning.
    return _rapidocr(intra_op_num_threads=1, inter_op_num_threads=1)


def tesseract(files):
    # A page of digits in lines; a program is all that Debian has of it.
    command = ["tesseract", "", "-", "--psm", "6", "-c", "tessedit_char_whitelist=0123456789"]
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}

    def read(path):
        command[1] = path
        return subprocess.run(command, capture_output=True, text=True, env=environment).stdout

    return read


ENGINES = (
    *(keras, tf_lite, tflite, litert, classifier, onnxruntime, opencv),
    *(read_litert, read_tflite, rapidocr, rapidocr_one_thread, tesseract),
)


def processor_time():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def resident(engine):
    """The most that the process held, or the program that it ran."""
    if engine == "tesseract":
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    with open(STATUS) as said:
        return int(re.search(r"VmHWM:\s+(\d+)", said.read())[1]) * 1024


def main():
    with open(sys.argv[2]) as said:
        files = json.load(said)
    known = {engine.__name__: engine for engine in ENGINES}
    made = {name: known[name](files) for name in sys.argv[1].split(",")}
    glyphs = None
    print(json.dumps({"ready": {}}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        act = made[task["engine"]]
        if "photos" in task:
            given = task["photos"]
        else:
            import numpy as np

            glyphs = np.load(files["glyphs"]) if glyphs is None else glyphs
            given = list(glyphs[slice(*task["glyphs"])])
        wall, processor = time.perf_counter(), processor_time()
        answers = [act(item) for item in given]
        wall, processor = time.perf_counter() - wall, processor_time() - processor
        answers = [answer if isinstance(answer, (str, int)) else int(answer.argmax()) for answer in answers]
        said = {"answers": answers, "wall": wall, "cpu": processor, "resident": resident(task["engine"])}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
