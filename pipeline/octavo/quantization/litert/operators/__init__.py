"""How each operator of ONNX is said in LiteRT's operators. One file a family; `table` names them all."""
