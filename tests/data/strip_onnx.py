#!/usr/bin/env python3
"""Makes a small copy of an ONNX model that an exporter wrote: the graph as it stands, without weights and without notes on it.

usage: strip_onnx.py MODEL.onnx OUT.onnx       needs the package onnx

Floats of more than 64 bytes lose their content (raw_data is left empty; name, type and dims stay); smaller ones keep it, and integers, which hold shapes, axes and positions. Gone are
metadata_props, doc_strings and value_info. tests/e2e/test_exported.py fills the weights again, from a seed."""
import sys, onnx

KEEP = 64


def strip(m):
    m.doc_string = ""
    del m.metadata_props[:]
    g = m.graph
    g.doc_string = ""
    del g.value_info[:]
    del g.quantization_annotation[:]
    for x in [g, *g.node, *g.input, *g.output, *g.initializer]:
        x.doc_string = ""
        del x.metadata_props[:]
    for t in g.initializer:
        if t.data_type == onnx.TensorProto.FLOAT and len(t.raw_data) > KEEP:
            t.ClearField("raw_data")
    return m


if __name__ == "__main__":
    open(sys.argv[2], "wb").write(strip(onnx.load(sys.argv[1])).SerializeToString())
