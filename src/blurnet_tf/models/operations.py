"""What a SavedModel does besides computing, as far as its file tells: a SavedModel is a program, and may be hostile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_COMPUTING = {
    "numbers": """
        Abs Acos Acosh Add AddN AddV2 Angle ArgMax ArgMin Asin Asinh Atan Atan2 Atanh BatchMatMul BatchMatMulV2
        BatchMatMulV3 Betainc Bincount Bitcast BitwiseAnd BitwiseOr BitwiseXor Bucketize Cast Ceil CheckNumerics
        CheckNumericsV2 Cholesky ClipByValue Complex ComplexAbs Conj Cos Cosh Cross Cumprod Cumsum
        CumulativeLogsumexp DenseBincount Dequantize Digamma Div DivNoNan Einsum Erf Erfc Erfinv EuclideanNorm
        Exp Expm1 FFT FFT2D FFT3D FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
        FakeQuantWithMinMaxVarsPerChannel Floor FloorDiv FloorMod HistogramFixedWidth IFFT IFFT2D IFFT3D IRFFT
        IRFFT2D IRFFT3D Igamma Igammac Imag Inv Invert IsFinite IsInf IsNan L2Loss LeftShift Lgamma LinSpace Log
        Log1p LogicalAnd LogicalNot LogicalOr MatMul MatrixDeterminant MatrixInverse MatrixSolve MatrixSolveLs
        MatrixTriangularSolve Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri Neg NextAfter Polygamma Pow
        Prod Qr QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeV2 RFFT RFFT2D
        RFFT3D Range Real RealDiv Reciprocal RightShift Rint Round Rsqrt SelfAdjointEigV2 Sign Sin Sinh Sqrt
        Square SquaredDifference Sub Sum Svd Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy Zeta
        AccumulateNV2 Lu
    """,
    "comparison and choice": """
        All Any ApproximateEqual Assert Equal Greater GreaterEqual InTopK InTopKV2 Less LessEqual NotEqual
        NthElement Select SelectV2 TopK TopKV2 Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Where
    """,
    "arrays": """
        BatchToSpace BatchToSpaceND BroadcastArgs BroadcastGradientArgs BroadcastTo Concat ConcatOffset ConcatV2
        Const DepthToSpace Diag DiagPart DynamicPartition DynamicStitch Empty EnsureShape ExpandDims
        ExtractImagePatches Fill Gather GatherNd GatherV2 Identity IdentityN InvertPermutation MatrixBandPart
        MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiag
        MatrixSetDiagV2 MatrixSetDiagV3 MirrorPad MirrorPadGrad OneHot OnesLike Pack Pad PadV2 ParallelConcat
        ParallelDynamicStitch Rank Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd SegmentMax
        SegmentMean SegmentMin SegmentProd SegmentSum Shape ShapeN Size Slice Snapshot SpaceToBatch
        SpaceToBatchND SpaceToDepth Split SplitV Squeeze StridedSlice StridedSliceGrad TensorListConcatV2
        TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem TensorListLength
        TensorListPopBack TensorListPushBack TensorListReserve TensorListResize TensorListScatterV2
        TensorListSetItem TensorListSplit TensorListStack TensorScatterAdd TensorScatterMax TensorScatterMin
        TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile Transpose ConjugateTranspose Unpack
        UnravelIndex UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum ZerosLike
        EmptyTensorList ExtractVolumePatches
    """,
    "layers and their gradients": """
        AvgPool AvgPool3D AvgPool3DGrad AvgPoolGrad BiasAdd BiasAddGrad Conv2D Conv2DBackpropFilter
        Conv2DBackpropInput Conv3D Conv3DBackpropFilterV2 Conv3DBackpropInputV2 DepthwiseConv2dNative
        DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Dilation2D
        Dilation2DBackpropFilter Dilation2DBackpropInput Elu EluGrad FusedBatchNorm FusedBatchNormGrad
        FusedBatchNormGradV2 FusedBatchNormGradV3 FusedBatchNormV2 FusedBatchNormV3 LRN LRNGrad LeakyRelu
        LeakyReluGrad LogSoftmax MaxPool MaxPool3D MaxPool3DGrad MaxPoolGrad MaxPoolGradV2 MaxPoolV2
        MaxPoolWithArgmax PreventGradient Relu Relu6 Relu6Grad ReluGrad RsqrtGrad Selu SeluGrad Sigmoid
        SigmoidGrad Softmax SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign SoftsignGrad
        SparseSoftmaxCrossEntropyWithLogits SqrtGrad StopGradient TanhGrad Conv Conv2DBackpropFilterV2
        Conv2DBackpropInputV2
    """,
    "images": """
        AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize
        CropAndResizeGradImage DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePng EncodeJpeg EncodePng
        ExtractJpegShape HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3 NonMaxSuppressionV3
        NonMaxSuppressionV4 NonMaxSuppressionV5 RGBToHSV ResizeArea ResizeBicubic ResizeBicubicGrad
        ResizeBilinear ResizeBilinearGrad ResizeNearestNeighbor ResizeNearestNeighborGrad ScaleAndTranslate
        ScaleAndTranslateGrad CropAndResizeGradBoxes EncodeJpegVariableQuality
    """,
    "chance": """
        Multinomial RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt StatelessMultinomial
        StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomNormal StatelessRandomNormalV2
        StatelessRandomUniform StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
        StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal
        StatelessTruncatedNormalV2 TruncatedNormal RandomGamma RngReadAndSkip StatefulUniform
        StatelessRandomGammaV2 StatelessRandomGammaV3 StatelessRandomGetKeyCounterAlg
    """,
    "words": """
        AsString DecodeBase64 DecodeRaw EncodeBase64 ReduceJoin RegexFullMatch RegexReplace StaticRegexFullMatch
        StaticRegexReplace StringFormat StringJoin StringLength StringLower StringSplitV2 StringStrip
        StringToNumber StringUpper Substr
    """,
    "variables, tables in memory, and calls of functions of the model itself": """
        AssignAddVariableOp AssignSubVariableOp AssignVariableOp HashTableV2 LookupTableFindV2
        LookupTableImportV2 LookupTableSizeV2 MutableHashTableV2 ReadVariableOp ResourceGather ResourceGatherNd
        VarHandleOp VarIsInitializedOp VariableShape Case If NoOp PartitionedCall Placeholder
        PlaceholderWithDefault StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile While
    """,
}

COMPUTING: frozenset[str] = frozenset(name for names in _COMPUTING.values() for name in names.split())
"""Operations of TensorFlow that compute and do nothing else.

Whichever is not listed may read or write files, run Python, or speak to other machines; some hide it behind their name,
such as `ImmutableConst`, `PrintV2` and `GenerateVocabRemapping`.
"""


_SAVING: frozenset[str] = frozenset(
    {"DisableCopyOnRead", "MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"}
)
"""What the functions of the saver hold beside operations that compute."""


def unsafe_operations(content: Any) -> list[str]:
    """Return the operations of a SavedModel that are not known to compute only, sorted.

    Those of the functions of TensorFlow 2's saver do not count, which every SavedModel has and which run only when
    somebody saves it again. A SavedModel in the format of TensorFlow 1 has them outside of functions, where they count.

    Args:
        content: The protocol buffer `SavedModel`.
    """
    return sorted({one for graph in content.meta_graphs for one in _unsafe(graph)})


def _unsafe(graph: Any) -> Iterator[str]:
    functions = graph.graph_def.library.function
    # With such a name nothing is an operation of TensorFlow's but dummies, which one of its own functions could shadow.
    called = {function.signature.name for function in functions if function.signature.name.startswith("__")}
    savers = _savers(graph)
    for node in graph.graph_def.node:
        if node.op not in COMPUTING and node.op not in called:
            yield node.op
    for function in functions:
        known = COMPUTING | _SAVING if function.signature.name in savers else COMPUTING
        yield from (node.op for node in function.node_def if node.op not in known and node.op not in called)


def _savers(graph: Any) -> set[str]:
    """Return the functions of the saver that nothing else names: none for TensorFlow 1, whose loader runs them.

    None that implements an interface: TensorFlow may run it in place of any other that does, and nothing names it then.
    """
    if not graph.HasField("object_graph_def"):
        return set()
    saver, objects, library = graph.saver_def, graph.object_graph_def, graph.graph_def.library
    calls = {name.partition(":")[0] for name in (saver.save_tensor_name, saver.restore_op_name) if name}
    found = {node.attr["f"].func.name for node in graph.graph_def.node if node.name in calls}
    named = set(objects.concrete_functions)
    for one in objects.nodes:
        named |= {*one.function.concrete_functions, one.bare_concrete_function.concrete_function_name}
    for gradient in (*library.gradient, *library.registered_gradients):
        named.add(gradient.gradient_func)
    for node in graph.graph_def.node:
        called = list(_called(node))
        if node.name in calls and called.count(node.attr["f"].func.name) == 1:
            called.remove(node.attr["f"].func.name)  # what makes it one of the saver
        named.update(called)
    for function in library.function:
        named.update(name for node in function.node_def for name in _called(node))
        if "api_implements" in function.attr:
            named.add(function.signature.name)
    return found - named


def _called(node: Any) -> Iterator[str]:
    """Yield the names of the functions that a node, or a function that it names, is given."""
    yield getattr(node, "op", "")  # a function may stand there like an operation
    for value in node.attr.values():
        for function in (*([value.func] if value.HasField("func") else ()), *value.list.func):
            yield function.name
            yield from _called(function)
